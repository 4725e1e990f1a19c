import { uuidOf } from "#protocol/uuid";

/** Resource classes of the cards that hosts of a run may have. */
export const classes = ["CUSTOM_FPGA_INTEL_VF", "CUSTOM_FPGA_XILINX_PF", "CUSTOM_FPGA_INSPUR_VF"];

/** The profile of accelerator requests, made before a run. */
export const profile = {
  id: uuidOf("profile", "pair"),
  name: "pair",
  description: "",
  groups: [{ "resources:CUSTOM_FPGA_INTEL_VF": "1" }, { "resources:CUSTOM_FPGA_XILINX_PF": "1" }],
  createdAt: 0,
} as const;
