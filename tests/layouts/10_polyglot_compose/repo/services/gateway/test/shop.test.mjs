import test from 'node:test';

test('shop (one)', async () => {
  await fetch('http://127.0.0.1:3000/shop/7');
});
