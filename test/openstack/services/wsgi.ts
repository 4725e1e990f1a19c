import { answers, type Running, serve } from "./process.ts";

/** A Python web application of a Debian package. */
export interface WsgiApplication {
  readonly name: string;
  readonly folder: string;
  readonly script: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Path that answers without a token once the application serves. */
  readonly probe: string;
}

/** Serves it with uWSGI on the loopback; ready when it answers. */
export async function serveWsgi(application: WsgiApplication): Promise<Running> {
  const { name, folder, script, port, env, probe } = application;
  const program = {
    name,
    folder,
    env,
    command: "/usr/bin/uwsgi_python3",
    args: [
      // One request at a time: threads share SQLite connections and lock or crash each other.
      ..."--master --need-app --processes 1 --enable-threads --lazy-apps".split(" "),
      ..."--die-on-term --no-orphans --buffer-size 65535 --disable-logging".split(" "),
      // Without it uWSGI drops kept-alive connections under its clients.
      "--add-header",
      "Connection: close",
      "--http-socket",
      `127.0.0.1:${port}`,
      "--wsgi-file",
      script,
    ],
  };
  return await serve(program, async () => await answers(`http://127.0.0.1:${port}${probe}`));
}
