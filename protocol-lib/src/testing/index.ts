/** What an app tests its own adapters with: the network that misbehaves, the acceptance suite of each port, and the frames that are read for ever. */
export { type StoreContractTest, type StoreUnderTest, storeContract } from '../diffsync/index.ts';
export { type ContractTest, eventLogContract, type LogUnderTest, SimulatedDisk } from '../events/index.ts';
export { offlineStorageContract, type StorageContractTest, type StorageUnderTest } from '../offline/index.ts';
export type { LinkShape, NetworkModel } from '../simulator/shape.ts';
export { FaultyConnection, FaultyNetwork, type Way } from './faulty-network.ts';
export {
  type CodecUnderTest,
  codecContract,
  GOLDEN_FRAMES,
  type GoldenFile,
  type GoldenFrame,
} from './golden-frames.ts';
export { type TransportPair, transportContract } from './transport-contract.ts';
