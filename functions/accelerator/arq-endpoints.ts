import { patchRequests } from "./arq-binding.ts";
import { deleteRequest, deleteRequests } from "./arq-deletion.ts";
import { createRequests, getRequest, listRequests } from "./arqs.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Accelerator } from "./parts.ts";

/** The paths of accelerator requests. */
export function arqEndpoints(parts: Accelerator): readonly Endpoint[] {
  return [
    {
      path: "accelerator_requests",
      methods: {
        GET: {
          rule: "cyborg:arq:get_all",
          takes: ["instance", "bind_state"],
          run: async (call) => await listRequests(parts, call),
        },
        POST: { rule: "cyborg:arq:create", run: async (call) => await createRequests(parts, call) },
        PATCH: { rule: "cyborg:arq:update", run: async (call) => await patchRequests(parts, call) },
        DELETE: {
          rule: "cyborg:arq:delete",
          takes: ["arqs", "instance"],
          run: async (call) => await deleteRequests(parts, call),
        },
      },
    },
    {
      path: "accelerator_requests/{uuid}",
      methods: {
        GET: { rule: "cyborg:arq:get_one", run: async (call) => await getRequest(parts, call) },
        PATCH: { rule: "cyborg:arq:update", run: async (call) => await patchRequests(parts, call) },
        DELETE: {
          rule: "cyborg:arq:delete",
          run: async (call) => await deleteRequest(parts, call),
        },
      },
    },
  ];
}
