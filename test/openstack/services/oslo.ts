import type { Account } from "./catalog.ts";

/** A section of an OpenStack configuration file by which a service finds Keystone as itself. */
export function keystoneSection(section: string, authUrl: string, account: Account): string {
  return `[${section}]
auth_type = password
auth_url = ${authUrl}
www_authenticate_uri = ${authUrl}
username = ${account.username}
password = ${account.password}
project_name = ${account.projectName}
user_domain_id = default
project_domain_id = default
region_name = RegionOne
service_token_roles_required = true
`;
}
