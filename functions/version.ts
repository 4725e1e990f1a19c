/** The service's version as `GET /v1` and its OpenAPI document say it. */
export const serviceVersion = "0.1.0";
