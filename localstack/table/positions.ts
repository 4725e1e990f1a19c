import { DatabaseSync } from "node:sqlite";
import { Fault } from "#domain/faults";

/** How far each listener has heard, kept across restarts. */
export interface Positions {
  read(listener: string): string | undefined;
  write(listener: string, position: string): void;
  /** Of every listener that ever took something. */
  all(): readonly string[];
  close(): void;
}

/**
 * Opens the positions file and holds it for this process alone: two offline clouds on one folder
 * would each deliver half of the changes. The kernel drops the lock when the process dies, however
 * it dies. Without fsync: a killed process loses nothing, a power cut repeats some deliveries.
 * Throws IN_USE when another process holds it.
 */
export function openPositions(file: string): Positions {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = OFF;
      CREATE TABLE IF NOT EXISTS positions (listener TEXT PRIMARY KEY, position TEXT NOT NULL);
      BEGIN EXCLUSIVE; COMMIT;
    `);
  } catch (error) {
    database.close();
    throw new Fault("IN_USE", `${file} is in use by another offline cloud`, {}, { cause: error });
  }
  const read = database.prepare("SELECT position FROM positions WHERE listener = ?");
  const all = database.prepare("SELECT position FROM positions");
  const write = database.prepare("INSERT OR REPLACE INTO positions VALUES (?, ?)");
  return {
    read: (listener) => read.get(listener)?.["position"]?.toString(),
    write: (listener, position) => {
      write.run(listener, position);
    },
    all: () => all.all().map(({ position }) => String(position)),
    close: () => database.close(),
  };
}
