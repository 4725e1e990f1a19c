/** A bitstream on its way into a card. */
export interface Bitstream {
  /** What the card gets: the bytes after a GBS header, or a whole xclbin. */
  readonly bytes: Buffer;
  /** What a real card finds in the bits; a simulated one cannot decode them and is told. */
  readonly functionId: string;
  readonly interfaceId?: string;
  /** The whole file, for tools that read one; `bytes` is its end or all of it. */
  readonly file?: Buffer;
}

/** Called with 0 to 100 while a bitstream goes in. */
export type Progress = (percent: number) => void;

/**
 * What is done to cards by ioctl or by a vendor's tool instead of by files. Rejects with
 * KernelError; a call may never return, so callers set a deadline (host.md §2.1, §2.4).
 */
export interface PrPort {
  /** DFL_FPGA_FME_PORT_PR on `/dev/dfl-fme.N`, opened O_EXCL. `portId` is the hardware's number. */
  programPort(fme: string, portId: number, image: Bitstream, progress: Progress): Promise<void>;
  /** DFL_FPGA_FME_PORT_RELEASE: the port leaves the PF so that a VF can have it. */
  releasePort(fme: string, portId: number): Promise<void>;
  /** DFL_FPGA_FME_PORT_ASSIGN: the port returns to the PF. */
  assignPort(fme: string, portId: number): Promise<void>;
  /** `xbmgmt program --device <management BDF> --user <file>`. */
  programUser(management: string, image: Bitstream, progress: Progress): Promise<void>;
  /**
   * What a card's management side says is loaded while a guest has the function; absent where the
   * hardware cannot tell, as with every real card known (its own files are gone with the driver).
   */
  readonly identify?: (card: string, region: string) => Promise<string | undefined>;
}
