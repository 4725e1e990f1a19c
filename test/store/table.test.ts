import { dynamoTable } from "#store/dynamo-table";
import { memoryTable } from "#store/memory-table";
import { offlineClient, startTable } from "../../localstack/table/start.ts";
import { tableConformance } from "../conformance/table.ts";

tableConformance("memory", async () => ({ table: memoryTable(), close: async () => undefined }));

tableConformance("dynoxide", async () => {
  const { endpoint, name, stop } = await startTable();
  const client = offlineClient(endpoint);
  const close = async () => {
    client.destroy();
    await stop();
  };
  return { table: dynamoTable(client, name), close };
});
