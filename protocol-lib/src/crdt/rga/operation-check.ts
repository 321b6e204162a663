import { SyncError } from '../../errors/index.ts';
import { sameValue } from '../../merkle/index.ts';
import type { ReplicaId, Value } from '../../state/index.ts';
import type { Block, ElementId } from './block.ts';
import type { RgaOperation } from './operation.ts';
import type { Sequence } from './sequence.ts';

/** @throws SyncError `CRDT_OPERATION_INVALID` where no replica can have made the operation */
export function checkOperation(operation: RgaOperation, isText: boolean): void {
  if (!isCounter(operation.counter)) throw invalid(operation, 'has no counter');
  if (operation.op === 'insert') {
    const { content, counter, parent, side } = operation;
    if ((typeof content === 'string') !== isText) throw invalid(operation, 'is for the other kind of content');
    if (content.length === 0) throw invalid(operation, 'inserts nothing');
    if (!isCounter(counter + content.length)) throw invalid(operation, 'counts too far');
    if (typeof content === 'string' && !content.isWellFormed()) throw invalid(operation, 'has a lone surrogate');
    if (parent === null ? side !== 'right' : !isCounter(parent.counter)) throw invalid(operation, 'has no such parent');
    return;
  }
  if (operation.ranges.length === 0) throw invalid(operation, 'deletes nothing');
  for (const { counter, length } of operation.ranges) {
    if (!isCounter(counter) || !isCounter(length) || !isCounter(counter + length)) {
      throw invalid(operation, `deletes ${length} from ${counter}`);
    }
  }
}

/** What has to arrive before the operation: everything its writer did before, and what it names. */
export function missingCause(operation: RgaOperation, seen: ReadonlyMap<ReplicaId, number>): ElementId | null {
  const { replica, counter } = operation;
  if (counter - 1 > (seen.get(replica) ?? 0)) return { replica, counter: counter - 1 };
  if (operation.op === 'insert') {
    const { parent } = operation;
    return parent === null || parent.counter <= (seen.get(parent.replica) ?? 0) ? null : parent;
  }
  for (const range of operation.ranges) {
    const last = range.counter + range.length - 1;
    if (last > (seen.get(range.replica) ?? 0)) return { replica: range.replica, counter: last };
  }
  return null;
}

/**
 * Whether what is known under the operation's id says otherwise. Text that was deleted, and elements that were
 * collected, can no longer be compared.
 */
export function isKnownOtherwise(operation: RgaOperation, sequence: Sequence, seen: number): boolean {
  if (operation.op === 'delete') {
    if (sequence.find(operation) !== null) return true;
    return operation.ranges.some((range) => isSeen(sequence, range, range.length));
  }
  if (operation.counter + operation.content.length - 1 > seen) return true;
  const { content, counter } = operation;
  let block = sequence.find(operation);
  if (block !== null && hasOtherParent(block, operation)) return true;
  for (let at = 0; at < content.length; ) {
    block = sequence.find({ replica: operation.replica, counter: counter + at });
    if (block === null) {
      at++;
      continue;
    }
    const offset = counter + at - block.counter;
    const count = Math.min(block.length - offset, content.length - at);
    const known = block.content?.slice(offset, offset + count);
    if (known !== undefined && !sameValue(known as Value, content.slice(at, at + count) as Value)) return true;
    at += count;
  }
  return false;
}

function isSeen(sequence: Sequence, id: ElementId, length: number): boolean {
  for (let block = sequence.findFrom(id); block !== null && block.counter < id.counter + length; ) {
    if (block.content !== null) return true;
    block = block.nextOfWriter;
  }
  return false;
}

function hasOtherParent(block: Block, operation: RgaOperation & { op: 'insert' }): boolean {
  const { counter, parent, side } = operation;
  if (counter > block.counter) {
    return side !== 'right' || parent?.replica !== block.replica || parent.counter !== counter - 1;
  }
  if (!block.hasOwnPlace) return false;
  const known = parentId(block);
  return side !== block.side || parent?.replica !== known?.replica || parent?.counter !== known?.counter;
}

/** The element that a block's first one hangs on; nothing for the start of the document. */
export function parentId({ parent, side }: Block): ElementId | null {
  if (parent === null || parent.length === 0) return null;
  return { replica: parent.replica, counter: side === 'left' ? parent.counter : parent.last };
}

function isCounter(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

function invalid({ replica, counter }: RgaOperation, what: string): SyncError {
  return new SyncError('CRDT_OPERATION_INVALID', `operation ${counter} of ${replica} ${what}`, { origin: 'protocol' });
}
