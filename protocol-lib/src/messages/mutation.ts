import { object, string, uint } from '../schema/index.ts';
import { valueSchema } from '../state/index.ts';

/** An intent. `counter` counts the sender's mutations from 1 without gaps; one that was seen before is not carried out again. */
export const commandSchema = object({ counter: uint, command: string(80), args: valueSchema });

/** The receiver's mutation `counter` was refused at `version`. The next delta's `rejected` says it again. */
export const rejectSchema = object({ counter: uint, reason: string(500), version: uint });
