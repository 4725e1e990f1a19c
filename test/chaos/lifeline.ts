/**
 * Ends this process when the one that started it is gone: the kernel closes the pipe on its input,
 * also after a kill -9, so a broken run leaves nothing behind.
 */
export function holdLifeline(): void {
  process.stdin.on("end", () => process.exit(1));
  process.stdin.on("error", () => process.exit(1));
  process.stdin.resume();
}

/** Settings of a process, as its starter wrote them into its environment. */
export function settingsOf<Settings>(): Settings {
  const text = process.env["GATEHOUSE_CHAOS"];
  if (text === undefined) throw new Error("GATEHOUSE_CHAOS: started by the chaos tier only");
  return JSON.parse(text) as Settings;
}
