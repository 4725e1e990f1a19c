import { rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";

/** How the guest and QEMU behave; names follow host.md §4.3. */
export interface Manners {
  /** QEMU accepts and says nothing, as when another client has the socket. */
  silent?: boolean;
  /** The guest is stopped: it is asked and never answers. */
  stopped?: boolean;
  /** The guest refuses to let go. */
  refuses?: boolean;
  /** QEMU exits when it is asked to take something out. */
  exits?: boolean;
  /** QEMU speaks something that is no JSON. */
  garbage?: boolean;
}

interface Device {
  readonly host: string;
  readonly bus: string;
  leaving: boolean;
}

type Arguments = Readonly<Record<string, string>>;

class Refusal extends Error {
  readonly kind: string;

  constructor(message: string, kind = "GenericError") {
    super(message);
    this.kind = kind;
  }
}

/** The part of QEMU 7.2 that plugs and unplugs, on a unix socket. */
export class FakeQemu {
  readonly manners: Manners = {};
  readonly devices = new Map<string, Device>();
  readonly asked: string[] = [];
  onChange: () => Promise<void> = async () => undefined;
  readonly #ports: readonly string[];
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, ports: readonly string[] = ["hp0", "hp1"]) {
    this.#path = path;
    this.#ports = ports;
    this.#server = createServer((socket) => {
      this.#serve(socket);
    });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.#path, resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#path, { force: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    if (this.manners.silent === true) return;
    if (this.manners.garbage === true) {
      socket.write("what?\n");
      return;
    }
    socket.write('{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n');
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      for (const line of text.split("\n").filter((one) => one !== ""))
        void this.#hear(socket, line);
    });
  }

  async #hear(socket: Socket, line: string): Promise<void> {
    const {
      execute,
      arguments: args,
      id,
    } = JSON.parse(line) as {
      execute: string;
      arguments: Arguments;
      id: string;
    };
    this.asked.push(execute);
    try {
      const answer = { return: await this.#run(execute, args), id };
      socket.write(`${JSON.stringify(answer)}\r\n`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { kind, message } = error;
      socket.write(`${JSON.stringify({ id, error: { class: kind, desc: message } })}\r\n`);
    }
  }

  async #run(command: string, args: Arguments): Promise<unknown> {
    const { path = "", property, id = "" } = args;
    if (command === "qom-list") return this.#list(path);
    if (command === "qom-get") return this.#get(path.split("/").at(-1) ?? "", property);
    if (command === "device_add") await this.#add(args);
    if (command === "device_del") await this.#remove(id);
    return {};
  }

  #list(path: string): unknown {
    if (path === "/machine/peripheral") {
      const ports = this.#ports.map((name) => ({ name, type: "child<pcie-root-port>" }));
      const devices = [...this.devices.keys()].map((name) => ({ name, type: "child<vfio-pci>" }));
      return [{ name: "type", type: "string" }, ...devices, ...ports.toReversed()];
    }
    const port = path.split("/").at(-1);
    const used = [...this.devices.values()].some(({ bus }) => bus === port);
    return [{ name: "realized", type: "bool" }, ...(used ? [{ name: "child[0]" }] : [])];
  }

  #get(id: string, property: string | undefined): unknown {
    const device = this.devices.get(id);
    if (device === undefined) throw new Refusal(`no ${id}`, "DeviceNotFound");
    return property === "host" ? device.host : `/machine/peripheral/${device.bus}/${device.bus}`;
  }

  async #add({ id = "", host = "", bus = "", addr, driver }: Arguments): Promise<void> {
    if (driver !== "vfio-pci" || addr !== "0x0") throw new Refusal("wrong arguments");
    if (this.devices.has(id)) throw new Refusal(`Duplicate device ID '${id}'`);
    if (!this.#ports.includes(bus)) throw new Refusal(`Bus '${bus}' not found`);
    const taken = [...this.devices.values()].some((device) => device.bus === bus);
    if (taken) throw new Refusal("PCI: slot 0 function 0 not available for vfio-pci");
    this.devices.set(id, { host, bus, leaving: false });
    await this.onChange();
  }

  async #remove(id: string): Promise<void> {
    const device = this.devices.get(id);
    if (device === undefined) throw new Refusal(`Device '${id}' not found`, "DeviceNotFound");
    if (this.manners.exits === true) {
      await this.stop();
      return;
    }
    if (device.leaving) throw new Refusal(`Device ${id} is already in the process of unplug`);
    if (this.manners.refuses === true) {
      this.#tell("DEVICE_UNPLUG_GUEST_ERROR", { device: id, path: "/machine" });
      return;
    }
    device.leaving = true;
    if (this.manners.stopped !== true) await this.letGo(id);
  }

  /** The guest lets go: children first, without a device id, as QEMU does. */
  async letGo(id: string): Promise<void> {
    this.devices.delete(id);
    await this.onChange();
    this.#tell("DEVICE_DELETED", { path: `/machine/peripheral/${id}/child` });
    this.#tell("DEVICE_DELETED", { device: id, path: `/machine/peripheral/${id}` });
  }

  #tell(event: string, data: object): void {
    const text = JSON.stringify({ timestamp: { seconds: 1 }, event, data });
    for (const socket of this.#sockets) socket.write(`${text}\r\n`);
  }
}
