import type { Random } from "../random.ts";

/** One life of an agent process. After it nothing it waits for ever comes. */
export class Life {
  isOver = false;
  /** Calls to the outside that are left to it. */
  left = Number.POSITIVE_INFINITY;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A call to the outside: the process may end before it or when it is done. */
  async guard<Value>(call: () => Promise<Value>): Promise<Value> {
    this.left -= 1;
    const isLast = this.left < 0;
    if (this.isOver || (isLast && this.#random.chance(0.5))) return await this.#end();
    const value = await call();
    return this.isOver || isLast ? await this.#end() : value;
  }

  gated<Port extends object>(port: Port, names: readonly (keyof Port)[]): Port {
    const gated: Partial<Port> = {};
    for (const name of names) {
      const call = port[name];
      if (typeof call !== "function") continue;
      const guarded = (...given: unknown[]) =>
        this.guard(() => Reflect.apply(call, port, given) as Promise<unknown>);
      gated[name] = guarded as Port[typeof name];
    }
    return { ...port, ...gated };
  }

  #end(): Promise<never> {
    this.isOver = true;
    return new Promise(() => undefined);
  }
}
