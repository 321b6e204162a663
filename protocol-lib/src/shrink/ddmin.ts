/** Whether what is left still shows what is looked for. */
export type Keeps<T> = (left: readonly T[]) => Promise<boolean>;

/**
 * The fewest of `items`, in order, that `keeps` still accepts: ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input" (2002), by complements. Of what it answers no single item can be left out, unless `isOver` ended it before. `items` themselves
 * are taken to be accepted.
 */
export async function ddmin<T>(
  items: readonly T[],
  keeps: Keeps<T>,
  isOver: () => boolean = () => false,
): Promise<readonly T[]> {
  let left = items;
  let parts = 1;
  while (left.length > 0 && !isOver()) {
    const size = Math.ceil(left.length / parts);
    const fewer = await withoutOnePart(left, size, keeps, isOver);
    if (fewer) {
      left = fewer;
      parts = Math.max(1, Math.min(parts - 1, left.length));
    } else if (size === 1) break;
    else parts = Math.min(left.length, parts * 2);
  }
  return left;
}

async function withoutOnePart<T>(
  left: readonly T[],
  size: number,
  keeps: Keeps<T>,
  isOver: () => boolean,
): Promise<readonly T[] | undefined> {
  for (let at = 0; at < left.length && !isOver(); at += size) {
    const fewer = left.toSpliced(at, size);
    if (await keeps(fewer)) return fewer;
  }
  return undefined;
}
