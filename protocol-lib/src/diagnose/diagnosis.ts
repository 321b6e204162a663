import type { OpenCapture } from '../capture/engine.ts';
import { Audit } from './audit.ts';
import type { Diagnosis } from './finding.ts';

const RECORDS_BETWEEN_TOLD = 4_096;

/**
 * What went wrong in a capture, in order of detection, from its records alone.
 * @throws SyncError where a record cannot be read
 */
export async function diagnoseCapture(
  capture: OpenCapture,
  options: { readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Diagnosis> {
  const info = await capture.info();
  const audit = new Audit(info.header);
  for await (const { position, record } of capture.trace()) {
    audit.take(position, record);
    if (position % RECORDS_BETWEEN_TOLD === 0) options.onProgress?.(position, info.records);
  }
  const missing: string[] = [];
  if (info.cut) missing.push(info.cut.message);
  if (info.lost > 0) missing.push(`${info.lost} records were lost before they reached the capture.`);
  return { ...audit.finish(), records: info.records, missing };
}
