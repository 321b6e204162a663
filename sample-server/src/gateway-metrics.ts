import type { Attributes, Histogram, Meter } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { type MessageType, messageType } from '@syncscope/protocol/messages';
import type { ReconcileAnswer, ReconcileRequest } from '@syncscope/protocol/offline';
import type { ReconciliationEnd, SyncMetrics } from '@syncscope/protocol/ports';
import type { SyncManager } from '@syncscope/protocol/sync';
import { ReconciliationWatch, type Tap } from '@syncscope/protocol/trace';
import { type ClientWire, TRANSPORTS } from './gateway-wire.ts';

/** Read when somebody asks, and never by itself. */
class OnDemandReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {
    // Nothing runs between two readings.
  }

  protected override async onForceFlush(): Promise<void> {
    // Nothing is held back.
  }
}

/** Seconds. */
const LATENCY_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10];
const APPEND_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];
const NS_PER_SECOND = 1e9;
/** So many latencies are recorded at once, or as many as wait when somebody asks: one at a time, each takes an instrument several times as long. */
const LATENCIES_AT_ONCE = 1_000;
const TYPES = 256;

/** How many messages of each type went one way, and their bytes. Counted in arrays, so that a message costs two additions. */
class Traffic {
  readonly messages = new Float64Array(TYPES);
  readonly bytes = new Float64Array(TYPES);

  count(frame: Uint8Array): void {
    const type = typeNumber(frame);
    this.messages[type]!++;
    this.bytes[type]! += frame.length;
  }
}

/** A frame begins with its array's header and its type; 0, which is no type, for what begins otherwise. */
export function typeNumber(frame: Uint8Array): number {
  const first = frame[0] ?? 0;
  if (first >> 4 === 9) return frame[1] ?? 0;
  return first === 0xdc ? (frame[3] ?? 0) : 0;
}

/** Clients that have series of their own. Names come from outside and are kept for ever, so there is an end to them. */
const NAMED_CLIENTS_MAX = 100;
const OTHER_CLIENTS = 'other';

/** The first clients by their names, all others under one. */
class ClientNames {
  readonly #names = new Set<string>();

  nameOf(client: string): string {
    if (this.#names.has(client)) return client;
    if (this.#names.size >= NAMED_CLIENTS_MAX) return OTHER_CLIENTS;
    this.#names.add(client);
    return client;
  }
}

/**
 * What a gateway measures, by OpenTelemetry's names, read as Prometheus reads it. All but the histograms is looked up when somebody
 * asks.
 */
export class GatewayMetrics implements SyncMetrics {
  readonly #manager: SyncManager;
  readonly #wires: () => Iterable<ClientWire>;
  readonly #reader = new OnDemandReader();
  readonly #provider = new MeterProvider({ readers: [this.#reader] });
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  readonly #in = new Traffic();
  readonly #out = new Traffic();
  readonly #reconciled = { applied: 0, rejected: 0, conflicts: 0, failed: 0 };
  readonly #endings = new Map<string, number>();
  /** How many reconciliations fail, with the alert on it. */
  readonly reconciliations: ReconciliationWatch;
  readonly #clients = new ClientNames();
  readonly #latency: Histogram;
  /** What is not in it yet. */
  readonly #latencies: { readonly client: string; readonly time: number }[] = [];
  readonly #append: Histogram;

  /** `tap` is told when too many reconciliations fail, and when no more. */
  constructor(manager: SyncManager, wires: () => Iterable<ClientWire>, tap?: Tap) {
    this.#manager = manager;
    this.reconciliations = new ReconciliationWatch({ replica: manager.replica, ...(tap ? { tap } : {}) });
    this.#wires = wires;
    const meter = this.#provider.getMeter('syncscope');
    this.#latency = meter.createHistogram('sync.latency', {
      description: 'From sending a delta or a full sync to its acknowledgement with an equal hash',
      unit: 's',
      advice: { explicitBucketBoundaries: LATENCY_BOUNDS },
    });
    this.#append = meter.createHistogram('sync.log.append', {
      description: 'From deciding on a mutation until it is durable in the log and may be told',
      unit: 's',
      advice: { explicitBucketBoundaries: APPEND_BOUNDS },
    });
    this.#observeTraffic(meter);
    this.#observeSession(meter);
  }

  received(frame: Uint8Array): void {
    this.#in.count(frame);
  }

  sent(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#out.count(frame);
  }

  /** A connection was ended from this side; `reason` begins with a code. */
  ended(reason: string): void {
    const code = /^[A-Z][A-Z_]{2,59}/.exec(reason)?.[0] ?? 'OTHER';
    this.#endings.set(code, (this.#endings.get(code) ?? 0) + 1);
  }

  /** A device that was offline was answered. */
  reconciled({ device }: ReconcileRequest, { applied, rejected, conflicts }: ReconcileAnswer, now: number): void {
    this.reconciliation({ client: device, way: 'offline', hasSucceeded: true, now });
    this.#reconciled.applied += applied.length;
    this.#reconciled.rejected += rejected.length;
    this.#reconciled.conflicts += conflicts.length;
  }

  /** A request to reconcile could not be carried out. */
  reconcileFailed(now: number): void {
    this.#reconciled.failed++;
    this.reconciliations.ended({ hasSucceeded: false, now });
  }

  latency(client: string, time: number): void {
    this.#latencies.push({ client: this.#clients.nameOf(client), time });
    if (this.#latencies.length >= LATENCIES_AT_ONCE) this.#recordLatencies();
  }

  #recordLatencies(): void {
    for (const { client, time } of this.#latencies) this.#latency.record(time / NS_PER_SECOND, { client });
    this.#latencies.length = 0;
  }

  /** Looked up at the manager when somebody asks. */
  backlog(): void {}

  reconciliation(end: ReconciliationEnd): void {
    this.reconciliations.ended(end);
  }

  /** A mutation has become durable `time` nanoseconds after it was decided. */
  appended(time: number): void {
    this.#append.record(time / NS_PER_SECOND);
  }

  /** Everything, as text in the Prometheus exposition format. */
  async text(): Promise<string> {
    this.#recordLatencies();
    const { resourceMetrics } = await this.#reader.collect();
    return this.#serializer.serialize(resourceMetrics);
  }

  close(): Promise<void> {
    return this.#provider.shutdown();
  }

  #observeTraffic(meter: Meter): void {
    const counters = [
      ['sync.messages', 'Messages of the protocol by direction and type', 'messages', ''],
      ['sync.message.size', 'Bytes of the messages, before the transport adds its own', 'bytes', 'By'],
    ] as const;
    for (const [name, description, what, unit] of counters) {
      meter.createObservableCounter(name, { description, unit }).addCallback((result) => {
        for (const [direction, traffic] of [
          ['in', this.#in],
          ['out', this.#out],
        ] as const) {
          for (const [type, count] of byType(traffic[what])) result.observe(count, { direction, type });
        }
      });
    }
    meter
      .createObservableCounter('sync.reconciled', {
        description: 'Mutations of devices that were offline, their conflicts, and requests that failed, by outcome',
      })
      .addCallback((result) => {
        for (const [outcome, count] of Object.entries(this.#reconciled)) result.observe(count, { outcome });
      });
    meter
      .createObservableCounter('sync.endings', { description: 'Connections that the server has ended, by code' })
      .addCallback((result) => {
        for (const [code, count] of this.#endings) result.observe(count, { code });
      });
    meter
      .createObservableUpDownCounter('sync.connections', { description: 'Connections by transport' })
      .addCallback((result) => {
        const counts = new Map<string, number>(TRANSPORTS.map((name) => [name, 0]));
        for (const { transport } of this.#wires()) counts.set(transport, counts.get(transport)! + 1);
        for (const [transport, count] of counts) result.observe(count, { transport });
      });
    gauge(meter, 'sync.queue', 'Bytes that wait in all connections', 'By', () => {
      let bytes = 0;
      for (const { queued } of this.#wires()) bytes += queued;
      return bytes;
    });
  }

  #observeSession(meter: Meter): void {
    const totals = [
      ['sync.commits', 'Mutations that were accepted', 'commits'],
      ['sync.rejects', 'Mutations that were refused', 'rejections'],
      ['sync.deltas', 'Deltas that were sent', 'deltas'],
      ['sync.full_syncs', 'Full states that were sent', 'fullSyncs'],
      ['sync.resyncs', 'Clients that were found to have another state than they should', 'mismatches'],
      ['sync.repairs', 'Of these, how many a Merkle exchange has put right', 'repairs'],
      ['sync.refusals', 'Frames that were refused', 'refused'],
      ['sync.slow_readers', 'Connections that were dropped because nobody read', 'tooSlow'],
    ] as const;
    for (const [name, description, field] of totals) {
      meter
        .createObservableCounter(name, { description })
        .addCallback((result) => result.observe(this.#manager.stats[field]));
    }
    gauge(meter, 'sync.version', 'Version of the state', '', () => this.#manager.version);
    gauge(meter, 'sync.clients', 'Clients that are let in', '', () => this.#manager.clients.length);
    meter
      .createObservableGauge('sync.backlog', { description: 'Versions that each client is known to lack' })
      .addCallback((result) => {
        const { version, clients } = this.#manager;
        const lacking = new Map<string, number>();
        for (const client of clients) {
          const name = this.#clients.nameOf(client.replica);
          lacking.set(name, (lacking.get(name) ?? 0) + Math.max(0, version - client.version));
        }
        for (const [client, versions] of lacking) result.observe(versions, { client });
      });
    const watch = this.reconciliations;
    gauge(
      meter,
      'sync.reconciliation.failure_rate',
      'Share of reconciliations that failed lately',
      '1',
      () => watch.rate,
    );
    const alerts = 'Whether more than 2 % of the reconciliations fail: 1 or 0';
    gauge(meter, 'sync.reconciliation.alert', alerts, '', () => (watch.isAlert ? 1 : 0));
  }
}

function gauge(meter: Meter, name: string, description: string, unit: string, read: () => number): void {
  const none: Attributes = {};
  meter.createObservableGauge(name, { description, unit }).addCallback((result) => result.observe(read(), none));
}

/** What is not zero. */
function* byType(counts: Float64Array): Iterable<readonly [MessageType | 'unknown', number]> {
  let unknown = 0;
  for (let number = 0; number < TYPES; number++) {
    const count = counts[number]!;
    const type = messageType(number);
    if (type === undefined) unknown += count;
    else if (count > 0) yield [type, count];
  }
  if (unknown > 0) yield ['unknown', unknown];
}
