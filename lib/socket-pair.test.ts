import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { socketPair } from './socket-pair.ts'

describe('a pair of sockets', () => {
  it('carries texts and bytes both ways, those of one run together and in order', async () => {
    const [here, there] = socketPair()
    const arrived = once(there, 'data')
    here.write('Zoë ', 'utf8')
    here.write('Zo\xeb ', 'latin1')
    here.write(Buffer.from('!'))
    expect(there.readableLength).toBe(0)
    expect(await arrived).toEqual([
      Buffer.concat([Buffer.from('Zoë '), Buffer.from('Zo\xeb ', 'latin1'), Buffer.from('!')]),
    ])

    there.write('back')
    expect(await once(here, 'data')).toEqual([Buffer.from('back')])
  })

  it('never calls one end from within a write of the other', async () => {
    const [here, there] = socketPair()
    let writing = false
    let heard = 0
    there.on('data', () => {
      expect(writing).toBe(false)
      heard++
    })
    for (let turn = 1; turn <= 3; turn++) {
      writing = true
      here.write('x')
      writing = false
      await new Promise(setImmediate)
      expect(heard).toBe(turn)
    }
  })

  it('keeps what is written to an end that does not read yet', async () => {
    const [here, there] = socketPair()
    there.pause()
    for (let at = 0; at < 1000; at++) here.write(`${at},`)
    here.end()
    let text = ''
    there.on('data', (bytes: Buffer) => (text += bytes.toString()))
    there.resume()
    await once(there, 'end')
    expect(text).toBe(Array.from({ length: 1000 }, (_, at) => `${at},`).join(''))
  })

  it.each(['end', 'destroy', 'destroySoon'] as const)(
    'is closed on both sides by %s of one, after what was said',
    async (how) => {
      const [here, there] = socketPair()
      const closed = [once(here, 'close'), once(there, 'close')]
      here.resume()
      const heard: string[] = []
      there.on('data', (bytes: Buffer) => heard.push(bytes.toString()))
      here.write('last words')
      here[how]()
      await Promise.all(closed)
      expect(heard).toEqual(['last words'])
      expect([here.destroyed, there.destroyed]).toEqual([true, true])
    },
  )
})
