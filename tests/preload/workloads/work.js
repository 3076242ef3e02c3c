// Objects, buffers, compression and hashing; prints the results.
const crypto = require('crypto');
const zlib = require('zlib');

const counts = new Map();
for (let index = 0; index < 100000; ++index) {
  const key = 'key' + (index * 7919) % 10007;
  counts.set(key, (counts.get(key) || 0) + index);
}
console.log(JSON.stringify([...counts].sort().slice(0, 100)));

const documents = [];
for (let index = 0; index < 20000; ++index) {
  documents.push({id: index, tags: ['t' + index % 7, 'u' + index % 11], nested: {text: 'x'.repeat(index % 40)}});
}
const text = JSON.stringify(documents);
console.log(text.length, crypto.createHash('sha256').update(text).digest('hex'));
console.log(JSON.parse(text)[19999].id);

const packed = zlib.deflateSync(Buffer.from(text), {level: 9});
console.log(packed.length, zlib.inflateSync(packed).toString() === text);

const buffers = [];
for (let index = 1; index < 300; ++index) buffers.push(Buffer.alloc(index * 1000, index & 255));
console.log(crypto.createHash('sha256').update(Buffer.concat(buffers)).digest('hex'));

let sum = 0n;
for (let index = 1n; index < 2000n; ++index) sum = (sum * 31n + index ** 20n) % (2n ** 4000n);
console.log(sum.toString(16));

zlib.gzip(Buffer.alloc(3000000, 'tenure'), (error, result) => console.log(error, result.length > 100));
