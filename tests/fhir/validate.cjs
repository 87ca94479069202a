// Reads a FHIR R4 resource on standard input, prints what the validator says of it as JSON.
const path = require("path");
const { Fhir } = require(path.join(process.argv[2], "node_modules", "fhir"));
const text = require("fs").readFileSync(0, "utf8");
const found = new Fhir().validate(JSON.parse(text), { errorOnUnexpected: true });
console.log(JSON.stringify(found.messages.filter((one) => one.severity !== "info" && one.severity !== "warning")));
