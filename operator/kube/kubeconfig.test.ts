import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configFromSurroundings, configFromText } from './kubeconfig.ts'

const server = 'https://kube.example:6443'

function kubeconfig({ cluster = {}, user = {}, current = 'x' }: { cluster?: object; user?: object; current?: string }) {
  return JSON.stringify({
    clusters: [{ name: 'c', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': current,
  })
}

describe('a kubeconfig', () => {
  it('says where the server is, what it is checked against, and who we are', () => {
    const pem = '-----BEGIN CERTIFICATE-----'
    const encoded = Buffer.from(pem).toString('base64')
    const cluster = {
      'certificate-authority-data': encoded,
      'tls-server-name': 'other',
      'proxy-url': 'http://proxy:3128',
    }
    const user = { token: 't', 'client-certificate-data': encoded, 'client-key': 'own.key' }
    expect(configFromText(kubeconfig({ cluster, user }), '/home/me')).toEqual({
      server: new URL(server),
      namespace: 'default',
      insecure: false,
      authorities: { pem },
      serverName: 'other',
      proxy: 'http://proxy:3128',
      user: { token: 't', certificate: { certificate: { pem }, key: { file: '/home/me/own.key' } }, impersonation: {} },
    })
  })

  it('without a user is somebody unknown', () => {
    const text = `{clusters: [{name: c, cluster: {server: "${server}"}}], contexts: [{name: x, context: {cluster: c, namespace: voice}}], current-context: x}`
    expect(configFromText(text)).toMatchObject({ namespace: 'voice', user: { impersonation: {} } })
  })

  it.each<[string, string, RegExp]>([
    ['a context that is not there', kubeconfig({ current: 'y' }), /no usable current-context \("y"\)/],
    ['nothing in it', '', /no usable current-context \(""\)/],
    ['plain HTTP that nobody asked for', kubeconfig({ cluster: { server: 'http://a' } }), /insecure-skip-tls-verify/],
    [
      'no server',
      kubeconfig({ cluster: { server: '' } }),
      /clusters\[0\]\.cluster\.server: expected an http or https URL/,
    ],
    ['a SOCKS proxy', kubeconfig({ cluster: { 'proxy-url': 'socks5://p' } }), /proxy-url: .*SOCKS is not spoken/],
    ['an auth-provider', kubeconfig({ user: { 'auth-provider': { name: 'oidc' } } }), /auth-provider: .*kubelogin/],
    ['a plugin without a command', kubeconfig({ user: { exec: {} } }), /exec\.command: expected the command/],
  ])('with %s says so', (_what, text, problem) => {
    expect(() => configFromText(text)).toThrow(problem)
  })
})

describe('the surroundings', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sbcfleet-surroundings-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const put = (name: string, text: string) => {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  it('are the files of KUBECONFIG, of which the first wins', () => {
    const first = put('a/first', kubeconfig({ user: { tokenFile: 'token' } }))
    const second = put('b/second', kubeconfig({ user: { token: 'other' }, current: 'z' }))
    const environment = { KUBECONFIG: [first, second].join(delimiter), HOME: folder }
    expect(configFromSurroundings(environment).user).toEqual({ tokenFile: join(folder, 'a/token'), impersonation: {} })
  })

  it('are the file in the home directory, if no other is named', () => {
    put('.kube/config', kubeconfig({ user: { token: 'mine' } }))
    expect(configFromSurroundings({ HOME: folder }).user.token).toBe('mine')
  })

  it.each([
    ['10.0.0.1', 'https://10.0.0.1:6443/'],
    ['fd00::1', 'https://[fd00::1]:6443/'],
  ])('are the ServiceAccount of the pod, with the server at %s', (host, href) => {
    for (const [name, text] of [
      ['token', 't'],
      ['ca.crt', 'c'],
      ['namespace', 'sbcfleet\n'],
    ] as const)
      put(`account/${name}`, text)
    const account = join(folder, 'account')
    const environment = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: '6443', HOME: folder }
    const config = configFromSurroundings(environment, account)
    expect(config.server.href).toBe(href)
    expect(config).toMatchObject({
      namespace: 'sbcfleet',
      authorities: { file: join(account, 'ca.crt') },
      user: { tokenFile: join(account, 'token') },
    })
  })

  it('are said to be missing when there is nothing', () => {
    expect(() => configFromSurroundings({ HOME: folder }, folder)).toThrow('set KUBECONFIG, or run in a pod')
  })
})
