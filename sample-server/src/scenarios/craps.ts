import { isSyncError } from '@syncscope/protocol/errors';
import { decodeMessage, noNames } from '@syncscope/protocol/messages';
import type { PeerScenario } from '../peers/peer-scenario.ts';
import { CrapsPeer } from './craps-peer.ts';

/** A table of craps without a croupier: its players decide together what happens. */
export const craps: PeerScenario = {
  name: 'craps',
  title: 'Craps',
  peers: 5,
  least: 1,
  most: 9,
  compress: 1,
  shown: { prefix: 'account/', field: 'tokens' },
  open: (ports) => new CrapsPeer(ports),
  newsOf(frame) {
    try {
      const message = decodeMessage(frame, noNames);
      return message.type === 'DECIDED' ? message.command.split(' ')[0] : undefined;
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return undefined;
    }
  },
};
