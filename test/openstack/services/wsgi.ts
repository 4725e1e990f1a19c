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
  /** Requests at a time. More than 1 needs a database server: threads cannot share SQLite. */
  readonly threads?: number;
}

/** Serves it with uWSGI on the loopback; ready when it answers. */
export async function serveWsgi(application: WsgiApplication): Promise<Running> {
  const { name, folder, script, port, env, probe, threads = 1 } = application;
  const program = {
    name,
    folder,
    env,
    command: "/usr/bin/uwsgi_python3",
    args: [
      ...`--master --need-app --processes 1 --threads ${threads}`.split(" "),
      ..."--enable-threads --lazy-apps".split(" "),
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
