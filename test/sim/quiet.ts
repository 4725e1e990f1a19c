/**
 * Runs something while the functions' own log lines go nowhere: under faults each of them has much
 * to say, and all that matters is said by the judge. Nor are stacks kept of the many errors that are
 * expected; a replay has them.
 */
export async function quietly<Value>(run: () => Promise<Value>): Promise<Value> {
  const { error, warn } = console;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  console.error = () => undefined;
  console.warn = () => undefined;
  try {
    return await run();
  } finally {
    Object.assign(console, { error, warn });
    Error.stackTraceLimit = stackTraceLimit;
  }
}
