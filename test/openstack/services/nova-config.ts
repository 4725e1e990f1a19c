import { serviceAccount } from "./keystone.ts";
import type { MariaDb } from "./mariadb.ts";
import { keystoneSection } from "./oslo.ts";

/** What Nova is configured with. */
export interface NovaSettings {
  readonly folder: string;
  readonly port: number;
  readonly authUrl: string;
  readonly rabbitUrl: string;
  readonly database: Pick<MariaDb, "url">;
  /** Name of the only compute node, and of its provider in Placement. */
  readonly computeName: string;
  /** How long compute waits for accelerator events, in seconds; Nova's own default is 300. */
  readonly bindingTimeoutSeconds: number;
}

/** Where Nova's databases are. */
export function novaDatabaseSections(database: Pick<MariaDb, "url">): string {
  return `[api_database]
connection = ${database.url("nova_api")}
[database]
connection = ${database.url("nova")}
`;
}

/** The text of nova.conf for all four services, with the fake virtualization driver. */
export function novaConfig(settings: NovaSettings): string {
  const { folder, port, authUrl, rabbitUrl, database, computeName } = settings;
  const nova = serviceAccount("nova");
  const clients = [
    "keystone_authtoken",
    "placement",
    "neutron",
    "glance",
    "cyborg",
    "service_user",
  ];
  return `[DEFAULT]
host = ${computeName}
transport_url = ${rabbitUrl}
state_path = ${folder}/state
instances_path = ${folder}/instances
enabled_apis = osapi_compute
osapi_compute_listen = 127.0.0.1
osapi_compute_listen_port = ${port}
osapi_compute_workers = 1
my_ip = 127.0.0.1
compute_driver = fake.FakeDriver
rpc_response_timeout = 60
report_interval = 5
# Else periodic tasks, also the one that finds the node, first wait for up to a minute.
periodic_fuzzy_delay = 0
arq_binding_timeout = ${settings.bindingTimeoutSeconds}
reserved_host_memory_mb = 0
[api]
auth_strategy = keystone
[wsgi]
api_paste_config = /etc/nova/api-paste.ini
${novaDatabaseSections(database)}[conductor]
workers = 1
[scheduler]
workers = 1
# The compute node is found without a call of nova-manage.
discover_hosts_in_cells_interval = 2
[oslo_concurrency]
lock_path = ${folder}/lock
[cache]
enabled = false
[vnc]
enabled = false
[spice]
enabled = false
${clients.map((section) => keystoneSection(section, authUrl, nova)).join("")}send_service_user_token = true
`;
}
