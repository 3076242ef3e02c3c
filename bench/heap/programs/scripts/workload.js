// The work that node does in the benchmark; prints a digest that must not depend on the allocator.
'use strict';
const { createHash } = require('crypto');
const { deflateSync, inflateSync } = require('zlib');

let seed = 7;
function random(bound) {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >>> 8) % bound;
}

function buffers(count) {
  const kept = new Array(200);
  let sum = 0;
  for (let turn = 0; turn < count; ++turn) {
    const size = 64 << random(10);
    const buffer = Buffer.allocUnsafeSlow(size).fill(turn & 255);
    kept[random(200)] = buffer;
    sum += buffer[size - 1];
  }
  return sum;
}

function compile(count) {
  let sum = 0;
  for (let turn = 0; turn < count; ++turn) {
    const body = `let s = ${turn}; for (let i = 0; i < 50; ++i) { s = (s * ${turn % 9 + 2} + i) % 10007; } return s;`;
    sum += new Function(body)();
  }
  return sum;
}

function documents(count) {
  const rows = [];
  for (let row = 0; row < count; ++row) {
    rows.push({ id: row, name: `name-${random(100000)}`, values: [random(9), random(99), random(999)] });
  }
  const packed = deflateSync(JSON.stringify(rows), { level: 4 });
  return createHash('sha256').update(inflateSync(packed)).digest('hex');
}

const rounds = Number(process.argv[2]);
const result = createHash('sha256');
for (let round = 0; round < rounds; ++round) {
  result.update(`${buffers(6000)} ${compile(800)} ${documents(15000)}`);
}
console.log(result.digest('hex'));
