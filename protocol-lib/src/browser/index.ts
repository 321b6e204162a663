export { type DriveOptions, driveOffline } from './drive.ts';
export { IdbStorage } from './idb-queue.ts';
export { WebLock } from './web-lock.ts';
