import type { Terminal } from "./io.ts";
import { printable } from "./text.ts";

/** A bar that is redrawn on a terminal and a few plain lines elsewhere. */
export interface Progress {
  /** `percent` from 0 to 100; `phase` is a word beside the bar. */
  show(percent: number, phase?: string): void;
  /** Takes the bar off the terminal. */
  end(): void;
}

const cells = 30;
/** Without a terminal one line per tenth is enough for a log. */
const step = 10;

/** Makes a progress display on `terminal`; `label` stands in front. */
export function createProgress(terminal: Terminal, label: string): Progress {
  let shown: { tenth: number; phase: string } | undefined;
  let drawn = false;
  return {
    show(percent, phase = "") {
      const whole = Math.max(0, Math.min(100, Math.floor(percent)));
      const text = printable(phase);
      if (terminal.isTTY) {
        terminal.write(`\r\u001b[K${bar(label, whole, text)}`);
        drawn = true;
        return;
      }
      const tenth = Math.floor(whole / step);
      if (shown?.tenth === tenth && shown.phase === text) return;
      shown = { tenth, phase: text };
      terminal.write(`${label} ${whole} %${text === "" ? "" : ` ${text}`}\n`);
    },
    end() {
      if (drawn) terminal.write("\r\u001b[K");
      drawn = false;
    },
  };
}

/** For `--quiet`. */
export const noProgress: Progress = { show: () => {}, end: () => {} };

function bar(label: string, percent: number, phase: string): string {
  const full = Math.round((percent / 100) * cells);
  const drawing = "#".repeat(full) + "-".repeat(cells - full);
  return `${label} [${drawing}] ${String(percent).padStart(3)} %${phase === "" ? "" : ` ${phase}`}`;
}
