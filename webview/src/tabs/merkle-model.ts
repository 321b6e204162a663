import type { FieldDifference, MerkleLeaf, MerkleNode } from '@syncscope/protocol/capture';
import { type HierarchyNode, hierarchy } from 'd3';
import { formatCount, formatValue, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';

/** A part of the picture: a subtree on the way to a difference, a leaf, or equal subtrees folded to one line. */
export type MerklePart =
  | {
      readonly type: 'branch';
      readonly id: string;
      readonly node: MerkleNode;
      readonly children: readonly MerklePart[];
    }
  | { readonly type: 'leaf'; readonly id: string; readonly leaf: MerkleLeaf }
  | { readonly type: 'equal'; readonly id: string; readonly paths: readonly string[]; readonly records: number }
  | { readonly type: 'more'; readonly id: string; readonly count: number };

/** Parts beyond which differing siblings are counted rather than drawn: the page stays under 2,000 elements. */
export const PARTS_MAX = 160;

/** Folds the equal siblings of a trie of two, neighbours together, and keeps every path to a difference. */
export function foldTrie(root: MerkleNode): MerklePart {
  let left = PARTS_MAX;
  const build = (node: MerkleNode): MerklePart => {
    left--;
    const children: MerklePart[] = [];
    let equal: { paths: string[]; records: number } | undefined;
    let skipped = 0;
    const flush = (): void => {
      if (equal) children.push({ type: 'equal', id: `=${equal.paths.join(',')}`, ...equal });
      if (equal) left--;
      equal = undefined;
    };
    const fold = (path: string, records: number): void => {
      equal ??= { paths: [], records: 0 };
      equal.paths.push(path);
      equal.records += records;
    };
    for (const child of node.children ?? []) {
      if (child.equal) {
        fold(child.path, child.leftCount);
      } else if (left <= 0) skipped++;
      else {
        flush();
        children.push(build(child));
      }
    }
    for (const leaf of node.leaves ?? []) {
      if (leaf.equal) fold(leaf.key, 1);
      else if (left <= 0) skipped++;
      else {
        flush();
        left--;
        children.push({ type: 'leaf', id: `/${leaf.key}`, leaf });
      }
    }
    flush();
    if (skipped > 0) children.push({ type: 'more', id: `+${node.path}`, count: skipped });
    return { type: 'branch', id: `.${node.path}`, node, children };
  };
  return build(root);
}

/** A part in its place, CSS pixels from the picture's corner. */
export interface PlacedPart {
  readonly part: MerklePart;
  readonly depth: number;
  readonly x: number;
  /** Of the first of its lines. */
  readonly y: number;
  readonly lines: readonly PartLine[];
  readonly parent: PlacedPart | undefined;
}

/** One line: a name, and under each replica its hash or value where there are two. */
export interface PartLine {
  readonly text: string;
  readonly left?: string;
  readonly right?: string;
}

export interface MerkleLayout {
  readonly parts: readonly PlacedPart[];
  readonly height: number;
  /** Where the columns of the left and the right replica begin. */
  readonly leftX: number;
  readonly rightX: number;
  /** Width of one of them. */
  readonly columnWidth: number;
  readonly width: number;
}

export const LINE_HEIGHT = 20;
export const INDENT = 18;
/** Of the editor's font at 12 px, generously. */
export const CHARACTER = 7.4;
const MARGIN = 12;
const TREE_MIN = 150;
const COLUMN_MIN = 96;
const COLUMN_MAX = 320;

/** Lays the trie out as an outline on `width` pixels: depth is indent, and both replicas have a column. */
export function layoutTrie(root: MerklePart, width: number): MerkleLayout {
  const parts: PlacedPart[] = [];
  const placed = new Map<HierarchyNode<MerklePart>, PlacedPart>();
  let y = MARGIN / 2;
  let treeWidth = TREE_MIN;
  hierarchy<MerklePart>(root, (part) => (part.type === 'branch' ? part.children : [])).eachBefore((node) => {
    const lines = partLines(node.data);
    const x = MARGIN + node.depth * INDENT;
    const place: PlacedPart = {
      part: node.data,
      depth: node.depth,
      x,
      y,
      lines,
      parent: node.parent ? placed.get(node.parent) : undefined,
    };
    placed.set(node, place);
    parts.push(place);
    y += lines.length * LINE_HEIGHT;
    for (const line of lines) {
      // Lines without values may run on under the columns.
      if (line.left !== undefined) treeWidth = Math.max(treeWidth, x + (line.text.length + 3) * CHARACTER);
    }
  });
  const columnWidth = Math.min(Math.max((width - treeWidth - MARGIN) / 2, COLUMN_MIN), COLUMN_MAX);
  return {
    parts,
    height: y + MARGIN / 2,
    leftX: treeWidth,
    rightX: treeWidth + columnWidth,
    columnWidth,
    width: Math.max(width, treeWidth + columnWidth * 2),
  };
}

/** What is written at a part. */
export function partLines(part: MerklePart): PartLine[] {
  switch (part.type) {
    case 'branch':
      return [{ text: part.node.path === '' ? 'root' : part.node.path, ...hashes(part.node) }];
    case 'equal':
      return [{ text: equalText(part.paths, part.records) }];
    case 'more':
      return [{ text: `${formatCount(part.count)} more that differ, not shown` }];
    case 'leaf': {
      const { leaf } = part;
      const fields = leaf.difference?.fields ?? [];
      return [
        { text: visible(leaf.key), ...hashes(leaf) },
        ...fields.slice(0, FIELDS_MAX).map(fieldLine),
        ...(fields.length > FIELDS_MAX ? [{ text: `and ${plural(fields.length - FIELDS_MAX, 'more field')}` }] : []),
      ];
    }
    default:
      return part satisfies never;
  }
}

const FIELDS_MAX = 8;
/** Longer values are cut again to the room that their column has. */
const VALUE_MAX = 60;
const ABSENT = 'absent';

function hashes(of: Pick<MerkleNode, 'leftHash' | 'rightHash'>): { left: string; right: string } {
  return { left: of.leftHash?.slice(0, 8) ?? ABSENT, right: of.rightHash?.slice(0, 8) ?? ABSENT };
}

function fieldLine(field: FieldDifference): PartLine {
  return {
    text: visible(field.field),
    left: formatValue(field.left, VALUE_MAX),
    right: formatValue(field.right, VALUE_MAX),
  };
}

function equalText(paths: readonly string[], records: number): string {
  return paths.length === 1 && records === 1
    ? 'equal: 1 record'
    : `equal: ${plural(records, 'record')}${paths.length > 1 ? ` in ${formatCount(paths.length)} subtrees` : ''}`;
}

/** A part in words, for a screen reader. */
export function describePart(part: MerklePart, left: string, right: string): string {
  switch (part.type) {
    case 'branch':
      return `${part.node.path === '' ? 'root' : `subtree ${part.node.path}`} differs: ${left} ${part.node.leftHash?.slice(0, 8) ?? 'has none'}, ${right} ${part.node.rightHash?.slice(0, 8) ?? 'has none'}`;
    case 'leaf':
      return [
        `record ${part.leaf.key} differs`,
        ...partLines(part)
          .slice(1)
          .map((line) =>
            line.left === undefined ? line.text : `${line.text}: ${left} ${line.left}, ${right} ${line.right}`,
          ),
      ].join('; ');
    default:
      return partLines(part)[0]!.text;
  }
}
