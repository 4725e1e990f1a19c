/** What a kernel child does, one at a time: everything that may block in the kernel (host.md §3.1). */
export type ChildRequest =
  | { readonly verb: "write"; readonly path: string; readonly value: string }
  | { readonly verb: "read"; readonly path: string }
  /** DFL_FPGA_FME_PORT_PR; `node` is the port's own, held open meanwhile. Its bitstream follows. */
  | {
      readonly verb: "program";
      readonly engine: string;
      readonly port: number;
      readonly node?: string;
    }
  | { readonly verb: "release" | "assign"; readonly engine: string; readonly port: number };

/** One line from a child: the result, or the errno's name and where it came from. */
export type ChildAnswer =
  | { readonly value: string }
  | { readonly errno: string; readonly message: string };

/** One line to a child; `bytes` of payload follow it. */
export interface ChildFrame {
  readonly request: ChildRequest;
  readonly bytes: number;
}
