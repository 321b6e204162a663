/** Asks for what was wanted last: one question under way at a time, and questions overtaken meanwhile are never asked. */
export interface Latest<Question> {
  want(question: Question): void;
  dispose(): void;
}

/**
 * @param take gets each answer with its question, unless disposed meanwhile.
 * @param fail gets what the question was rejected with.
 */
export function latest<Question, Answer>(
  ask: (question: Question) => Promise<Answer>,
  take: (answer: Answer, question: Question) => void,
  fail: (error: unknown) => void,
): Latest<Question> {
  let next: { question: Question } | undefined;
  let isAsking = false;
  let isDisposed = false;
  const run = async (): Promise<void> => {
    isAsking = true;
    while (next && !isDisposed) {
      const { question } = next;
      next = undefined;
      try {
        const answer = await ask(question);
        if (!isDisposed) take(answer, question);
      } catch (error) {
        if (!isDisposed) fail(error);
      }
    }
    isAsking = false;
  };
  return {
    want(question) {
      next = { question };
      if (!isAsking && !isDisposed) void run();
    },
    dispose() {
      isDisposed = true;
      next = undefined;
    },
  };
}
