import type { Infer, ObjectSchema } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { acceptSchema, decidedSchema, prepareSchema, voteSchema } from './consensus.ts';
import { modelPushSchema, modelResultSchema, modelUnknownSchema } from './diffsync.ts';
import { byeSchema, errorSchema, helloSchema, namesSchema, upgradeRequiredSchema, welcomeSchema } from './handshake.ts';
import { merkleAnswerSchema, merkleOfferSchema, merkleQuerySchema } from './merkle.ts';
import { commandSchema, rejectSchema } from './mutation.ts';
import { reconcileAnswerSchema, reconcileRequestSchema } from './offline.ts';
import { peerBaseSchema, peerChangesSchema, peerRequestSchema, peerStatusSchema } from './peers.ts';
import { operationSchema, presenceSchema, reconcileSchema } from './presence.ts';
import {
  ackSchema,
  deltaSyncSchema,
  eventSchema,
  fullSyncSchema,
  heartbeatSchema,
  syncRequestSchema,
} from './replication.ts';

/** Every message: its number on the wire, for ever, and the schema of its fields in wire order. */
export const MESSAGES = {
  HELLO: { id: 1, schema: helloSchema },
  WELCOME: { id: 2, schema: welcomeSchema },
  UPGRADE_REQUIRED: { id: 3, schema: upgradeRequiredSchema },
  ERROR: { id: 4, schema: errorSchema },
  BYE: { id: 5, schema: byeSchema },
  NAMES: { id: 6, schema: namesSchema },
  FULL_SYNC: { id: 7, schema: fullSyncSchema },
  DELTA_SYNC: { id: 8, schema: deltaSyncSchema },
  EVENT: { id: 9, schema: eventSchema },
  SYNC_REQUEST: { id: 10, schema: syncRequestSchema },
  ACK: { id: 11, schema: ackSchema },
  COMMAND: { id: 12, schema: commandSchema },
  REJECT: { id: 13, schema: rejectSchema },
  MERKLE_OFFER: { id: 14, schema: merkleOfferSchema },
  MERKLE_QUERY: { id: 15, schema: merkleQuerySchema },
  MERKLE_ANSWER: { id: 16, schema: merkleAnswerSchema },
  HEARTBEAT: { id: 17, schema: heartbeatSchema },
  PREPARE: { id: 20, schema: prepareSchema },
  ACCEPT: { id: 21, schema: acceptSchema },
  VOTE: { id: 22, schema: voteSchema },
  DECIDED: { id: 23, schema: decidedSchema },
  PEER_STATUS: { id: 30, schema: peerStatusSchema },
  PEER_REQUEST: { id: 31, schema: peerRequestSchema },
  PEER_CHANGES: { id: 32, schema: peerChangesSchema },
  PEER_BASE: { id: 33, schema: peerBaseSchema },
  PRESENCE: { id: 36, schema: presenceSchema },
  RECONCILE: { id: 37, schema: reconcileSchema },
  OFFLINE_SYNC: { id: 38, schema: reconcileRequestSchema },
  OFFLINE_SYNCED: { id: 39, schema: reconcileAnswerSchema },
  MODEL_PUSH: { id: 40, schema: modelPushSchema },
  MODEL_RESULT: { id: 41, schema: modelResultSchema },
  MODEL_UNKNOWN: { id: 42, schema: modelUnknownSchema },
  OPERATION: { id: 45, schema: operationSchema },
} as const satisfies Readonly<Record<string, { readonly id: number; readonly schema: ObjectSchema<unknown> }>>;

export type MessageType = keyof typeof MESSAGES;

/** What a message says, before a codec gives it its sender and sequence. */
export type MessageBody = {
  [T in MessageType]: { readonly type: T } & Infer<(typeof MESSAGES)[T]['schema']>;
}[MessageType];

/** `sequence` counts the frames of `sender`, from 1. */
export type Message = MessageBody & { readonly sender: ReplicaId; readonly sequence: number };

export type MessageOf<T extends MessageType> = Extract<Message, { type: T }>;
export type BodyOf<T extends MessageType> = Extract<MessageBody, { type: T }>;

const typesById = new Map<unknown, MessageType>(
  (Object.keys(MESSAGES) as MessageType[]).map((type) => [MESSAGES[type].id, type]),
);

/** The type with this number on the wire, or undefined. */
export function messageType(id: unknown): MessageType | undefined {
  return typesById.get(id);
}
