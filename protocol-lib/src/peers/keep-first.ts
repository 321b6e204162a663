/** Sends frames in order, each batch once what it tells of is kept. Batches that come while one is being kept go out together. */
export class KeepFirst<Frame> {
  readonly #keep: () => Promise<void>;
  readonly #send: (frames: readonly Frame[]) => void;
  readonly #onFailed: (error: unknown) => void;
  #waiting: Frame[] = [];
  #isDue = false;
  #isRunning = false;
  #hasFailed = false;

  constructor(keep: () => Promise<void>, send: (frames: readonly Frame[]) => void, onFailed: (error: unknown) => void) {
    this.#keep = keep;
    this.#send = send;
    this.#onFailed = onFailed;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether something waits to be kept. */
  get isBusy(): boolean {
    return this.#isRunning;
  }

  /** After a failure nothing is sent any more: what could not be kept must not be told. */
  push(frames: readonly Frame[]): void {
    if (this.#hasFailed) return;
    this.#waiting.push(...frames);
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isDue) {
        const frames = this.#waiting;
        this.#waiting = [];
        this.#isDue = false;
        await this.#keep();
        this.#send(frames);
      }
    } catch (error) {
      this.#hasFailed = true;
      this.#waiting = [];
      this.#onFailed(error);
    } finally {
      this.#isRunning = false;
    }
  }
}
