import { CelEngine, type StandardDiagnostic, TemplateFile } from "@aws/cloudformation-validate";

/** What was found wrong in a template. `fatal` findings would fail, or falsify, a deployment. */
export interface Finding {
  readonly rule: string;
  readonly fatal: boolean;
  readonly where: string;
  readonly message: string;
}

// A value outside an enumeration is only a warning to the validator, but CloudFormation refuses it.
const warningsThatFail = new Set(["W3030"]);

// The packager adds a DependsOn where a reference already says it; nothing of ours to mend.
const ignored = ["W3005"];

function findingOf(found: StandardDiagnostic): Finding {
  const { ruleId, severity, message, entity, propertyPath } = found;
  const where = [entity?.logicalId, propertyPath].filter((part) => part !== undefined).join(".");
  const fatal = severity === "FATAL" || severity === "ERROR" || warningsThatFail.has(ruleId);
  return { rule: ruleId, fatal, where, message };
}

/** Checks CloudFormation templates offline. Starting takes 1–2 s, each check 0.1 s. */
export class TemplateValidator {
  readonly #engine = new CelEngine();

  /** Findings of the template file at `path`, fatal ones first. Throws when it cannot be read. */
  validate(path: string): Finding[] {
    const { status, diagnostics } = this.#engine.validateStandard(new TemplateFile(path), {
      severityLevel: "WARN",
      exclude: { ids: ignored },
    });
    const findings = diagnostics.map(findingOf);
    if (status !== "OK") {
      const message = `the validator ended with ${status}`;
      findings.push({ rule: status, fatal: true, where: "", message });
    }
    return findings.sort((one, other) => Number(other.fatal) - Number(one.fatal));
  }

  [Symbol.dispose](): void {
    this.#engine.free();
  }
}

/** One line per finding. */
export function describe({ rule, fatal, where, message }: Finding): string {
  return `${fatal ? "error  " : "warning"} ${rule} ${where} ${message}`;
}
