// Proves that a buffer changed while a disk owns it is found.
import { BufferChecker } from './buffers.ts'
import { Stage } from './stage.ts'

describe('a buffer in flight', () => {
  test.each([
    ['unchanged', false],
    ['changed', true],
  ])('%s', async (_name, changes) => {
    const stage = new Stage()
    stage.cache.watchers.push(new BufferChecker(stage.scene))
    const buffer = stage.content(1, 0, 8)
    const written = stage.ended((done) => stage.cachePort.write(buffer, 0, 4096, 0, done))
    if (changes) buffer[100] = 1
    await written
    buffer[100] = 2
    expect(stage.found).toEqual(changes ? ['buffers'] : [])
  })
})
