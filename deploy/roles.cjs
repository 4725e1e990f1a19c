// serverless.yml can only read CommonJS; the table of permissions is tools/roles.ts.
module.exports = { roles: require("../tools/roles.ts").roles };
