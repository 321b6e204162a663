import type { ReplicaId } from '../../state/index.ts';
import { Block, type Writer } from './block.ts';

const BUCKET = 32;

export function makeWriter(replica: ReplicaId): Writer {
  const buckets: Block[] = [];
  const writer: { replica: ReplicaId; first: Block | null; buckets: Block[] } = { replica, first: null, buckets };
  const first = new Block(writer as Writer, 0, 0, null, null, 'right');
  writer.first = first;
  buckets.push(first);
  return writer as Writer;
}

/** The last block of the writer that starts at or before `counter`. */
function floorOf(writer: Writer, counter: number): Block {
  const { buckets } = writer;
  const bucket = Math.floor(counter / BUCKET);
  let block = bucket < buckets.length ? buckets[bucket]! : buckets[buckets.length - 1]!;
  while (block.nextOfWriter !== null && block.nextOfWriter.counter <= counter) block = block.nextOfWriter;
  return block;
}

/** The block that holds the element; nothing where there is none, or it was collected. */
export function findBlock(writer: Writer, counter: number): Block | null {
  const block = floorOf(writer, counter);
  return counter < block.counter + block.length ? block : null;
}

/** The first block that holds `counter` or one above it. */
export function findFrom(writer: Writer, counter: number): Block | null {
  const block = floorOf(writer, counter);
  return counter < block.counter + block.length ? block : block.nextOfWriter;
}

/** Takes in a block of elements that no other block of the writer holds. */
export function addBlock(block: Block): void {
  const { writer } = block;
  const before = floorOf(writer, block.counter);
  block.nextOfWriter = before.nextOfWriter;
  before.nextOfWriter = block;
  redirect(writer, block.counter, before, block);
  reachTo(block);
}

/** After a block has grown at its end: it may be the first to reach a bucket. */
export function reachTo(block: Block): void {
  const { buckets } = block.writer;
  const last = Math.floor(block.last / BUCKET);
  while (buckets.length <= last) {
    const start = buckets.length * BUCKET;
    buckets.push(start >= block.counter ? block : floorOf(block.writer, start));
  }
}

export function removeBlock(block: Block): void {
  const { writer } = block;
  const before = floorOf(writer, block.counter - 1);
  before.nextOfWriter = block.nextOfWriter;
  redirect(writer, block.counter, block, before);
}

function redirect({ buckets }: Writer, from: number, before: Block, after: Block): void {
  for (let bucket = Math.ceil(from / BUCKET); buckets[bucket] === before; bucket++) buckets[bucket] = after;
}
