/**
 * A process that holds a table, for tests that kill it: writes rows without end, prints each
 * acknowledged number as "wrote n" and each delivered one as "heard n".
 */
import { dynamoTable } from "#store/dynamo-table";
import { offlineClient, startTable } from "../../../localstack/table/start.ts";

const [folder, first] = process.argv.slice(2);
const offline = await startTable(folder === undefined || folder === "" ? {} : { dataDir: folder });
console.log(`endpoint ${offline.endpoint}`);
if (first !== undefined) {
  offline.onChanges(async (records) => {
    for (const { dynamodb } of records) console.log(`heard ${dynamodb?.NewImage?.["n"]?.N}`);
  });
  const table = dynamoTable(offlineClient(offline.endpoint), offline.name);
  for (let n = Number(first); ; n += 1) {
    await table.write([{ kind: "put", item: { pk: "LOG", sk: String(n).padStart(9, "0"), n } }]);
    console.log(`wrote ${n}`);
  }
}
