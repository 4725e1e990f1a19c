/** This agent's version as it says in hello and on `--version`. */
export const agentVersion = "0.1.0";
