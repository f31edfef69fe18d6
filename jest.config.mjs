// How Jest finds and loads the tests: ESM, types stripped by swc (tsc checks them apart, in `make types`).
// Run through test/run/run-suites.ts, which takes the pinned Node and switches on its ESM support for Jest.
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  maxWorkers: 2,
  testTimeout: 60_000,
}
