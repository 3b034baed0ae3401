// Computes dose ids as docs/contract.md describes them: reads [schedule id, log date, ordinal] rows, writes ids.
const { createHash } = require("crypto");
const { readFileSync } = require("fs");

function doseId([scheduleId, logDate, ordinal]) {
  const input = Buffer.concat([
    Buffer.from(scheduleId.replace(/-/g, ""), "hex"),
    Buffer.from(logDate, "ascii"),
    Buffer.from([ordinal]),
  ]);
  const id = Buffer.alloc(16);
  const milliseconds = BigInt.asUintN(48, BigInt(Date.parse(logDate + "T00:00:00Z")));
  id.writeUInt16BE(Number(milliseconds >> 32n), 0);
  id.writeUInt32BE(Number(milliseconds & 0xffffffffn), 2);
  createHash("sha256").update(input).digest().copy(id, 6, 0, 10);
  id[6] = (id[6] & 0x0f) | 0x80;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(doseId)));
