import { describe, expect, it } from 'vitest'
import { buildChallenge, checkAuthorization } from './digest-check.ts'

/** The examples of RFC 7616 section 3.9.1, which are the same request with two algorithms. */
const expected = {
  method: 'GET',
  realm: 'http-auth@example.org',
  nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
  credentials: { username: 'Mufasa', password: 'Circle of Life' },
}
const answer = (algorithm: string, response: string) =>
  `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=${algorithm}, ` +
  `nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, ` +
  `cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="${response}", ` +
  `opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
const md5 = '8ca523f5e9506fed4657c9700eebdbec'
const sha256 = '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'

describe('checkAuthorization', () => {
  it('takes the MD5 example of RFC 7616 section 3.9.1', () =>
    expect(checkAuthorization(answer('MD5', md5), expected)).toBeUndefined())

  it('takes the SHA-256 example of RFC 7616 section 3.9.1', () =>
    expect(checkAuthorization(answer('SHA-256', sha256), expected)).toBeUndefined())

  it.each([
    ['the response does not fit', answer('MD5', sha256)],
    ['the response does not fit', answer('MD5', md5.replace('8', '9'))],
    ['the username is "Simba"', answer('MD5', md5).replace('Mufasa', 'Simba')],
    ['the nonce is not ours', answer('MD5', md5).replace('7ypf', 'aaaa')],
    ['the realm is "x"', answer('MD5', md5).replace('realm="http-auth@example.org"', 'realm="x"')],
    ['qop is ""', answer('MD5', md5).replace('qop=auth, ', '')],
    ['nc is "1"', answer('MD5', md5).replace('00000001', '1')],
    ['the algorithm SHA-512', answer('SHA-512', md5)],
    ['the scheme is not Digest', 'Basic TXVmYXNh'],
  ])('says that %s', (reason, value) => expect(checkAuthorization(value, expected)).toContain(reason))
})

it('buildChallenge asks for qop and names the algorithm', () =>
  expect(buildChallenge('r', 'n', 'SHA-256')).toBe('Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"'))
