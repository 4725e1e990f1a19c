import { createConnection } from "node:net";

/** An open connection that carries one text per line. */
export interface LineSocket {
  send(line: string): void;
  /** Ends it at once; `end` is heard after that. */
  close(): void;
}

/** What a connection tells its owner. */
export interface LineListener {
  line(text: string): void;
  end(): void;
}

export type ConnectLines = (path: string, listener: LineListener) => Promise<LineSocket>;

/** A peer that sends more without a line end is not listened to any longer. */
const longestLine = 1024 * 1024;

/** Connects to a unix socket. Rejects with the errno: ENOENT, ECONNREFUSED, EACCES. */
export const connectLines: ConnectLines = (path, listener) =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") listener.line(line);
      if (rest.length > longestLine) socket.destroy();
    });
    socket.on("error", reject);
    socket.once("close", () => {
      listener.end();
    });
    socket.once("connect", () => {
      resolve({
        send: (line) => void socket.write(`${line}\n`),
        close: () => void socket.destroy(),
      });
    });
  });
