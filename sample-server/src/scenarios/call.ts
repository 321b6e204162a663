import { isSyncError } from '@syncscope/protocol/errors';
import { decodeMessage, noNames } from '@syncscope/protocol/messages';
import type { PeerScenario } from '../peers/peer-scenario.ts';
import { CallPeer } from './call-peer.ts';

/** A conference without a server: each has a copy of the call. */
export const call: PeerScenario = {
  name: 'call',
  title: 'Call',
  peers: 4,
  least: 1,
  most: 12,
  compress: 10,
  shown: { prefix: 'call-', field: 'joined' },
  open: (ports) => new CallPeer(ports),
  newsOf(frame) {
    try {
      const message = decodeMessage(frame, noNames);
      return message.type === 'OPERATION' ? message.detail.split(' ')[0] : undefined;
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return undefined;
    }
  },
};
