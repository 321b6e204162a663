import { isSyncError } from '../../errors/index.ts';
import { decodeMessage, type Message, NameTables } from '../../messages/index.ts';
import type { OpenCapture } from '../engine.ts';
import { type Passing, passing } from './passing.ts';

/** What a frame says, or why it cannot be told; neither where a record has no frame. */
export type DecodedFrame =
  | { readonly message: Message }
  | { readonly messageError: { readonly code: string; readonly message: string } }
  | Readonly<Record<string, never>>;

/** Decodes the frames of a capture's records, which it is given in order; some may be left out. */
export class DecodedFrames {
  readonly #names: AsyncIterator<Passing>;
  readonly #tables = new NameTables();
  /** The next record with names that is not in the tables yet. */
  #waiting: Passing | undefined;

  constructor(capture: OpenCapture) {
    this.#names = passing(capture, 'kind:names')[Symbol.asyncIterator]();
  }

  /** @throws SyncError as reading the capture does */
  async of({ position, record }: Passing): Promise<DecodedFrame> {
    const { wire } = record;
    if (wire === undefined) return {};
    await this.#readNames(position);
    try {
      // Whose the names are stands in the frame; the record says it as well where it is a message.
      const { body } = record;
      const sender = body.kind === 'send' || body.kind === 'receive' ? body.sender : record.replica;
      return { message: decodeMessage(wire, this.#tables.of(sender)) };
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return { messageError: { code: error.code, message: error.message } };
    }
  }

  async #readNames(position: number): Promise<void> {
    for (;;) {
      if (!this.#waiting) {
        const { value, done } = await this.#names.next();
        if (done) return;
        this.#waiting = value;
      }
      const { position: at, record } = this.#waiting;
      if (at > position) return;
      this.#waiting = undefined;
      if (record.body.kind !== 'names') continue;
      const { sender, first, names } = record.body;
      try {
        this.#tables.add(sender, first, names);
      } catch (error) {
        // Names before these are missing: frames that use them say so.
        if (!isSyncError(error)) throw error;
      }
    }
  }
}
