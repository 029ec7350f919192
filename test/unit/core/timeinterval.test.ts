import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TimeIntervalInput } from '../../../src/core/timeinterval.ts'
import { contains, parseTimeInterval } from '../../../src/core/timeinterval.ts'

const inside = (input: TimeIntervalInput, at: string) => contains(parseTimeInterval(input), Date.parse(at))

test('times include the start and exclude the end', () => {
  const input = { times: [{ start_time: '09:00', end_time: '17:00' }] }
  assert.equal(inside(input, '2026-03-02T08:59:59Z'), false)
  assert.equal(inside(input, '2026-03-02T09:00:00Z'), true)
  assert.equal(inside(input, '2026-03-02T16:59:59Z'), true)
  assert.equal(inside(input, '2026-03-02T17:00:00Z'), false)
  assert.equal(inside({ times: [{ start_time: '22:00', end_time: '24:00' }] }, '2026-03-02T23:59:59Z'), true)
})

test('fields are joined by and, entries of one field by or', () => {
  const input = { weekdays: ['Monday:wednesday', 'saturday'], months: ['january:march', '5'], years: ['2026'] }
  assert.equal(inside(input, '2026-03-03T00:00:00Z'), true, 'a Tuesday in March')
  assert.equal(inside(input, '2026-03-07T00:00:00Z'), true, 'a Saturday')
  assert.equal(inside(input, '2026-03-05T00:00:00Z'), false, 'a Thursday')
  assert.equal(inside(input, '2026-05-02T00:00:00Z'), true, 'May')
  assert.equal(inside(input, '2026-04-06T00:00:00Z'), false, 'April')
  assert.equal(inside(input, '2027-03-02T00:00:00Z'), false, 'another year')
  assert.equal(inside({}, '2026-03-05T00:00:00Z'), true, 'no restriction')
})

test('days count from the end when negative, and stop at the end of short months', () => {
  assert.equal(inside({ days_of_month: ['-1'] }, '2026-02-28T12:00:00Z'), true)
  assert.equal(inside({ days_of_month: ['-1'] }, '2028-02-28T12:00:00Z'), false, 'leap year')
  assert.equal(inside({ days_of_month: ['-1'] }, '2028-02-29T12:00:00Z'), true)
  assert.equal(inside({ days_of_month: ['29:31'] }, '2026-02-28T12:00:00Z'), false)
  assert.equal(inside({ days_of_month: ['20:-5'] }, '2026-04-26T12:00:00Z'), true)
  assert.equal(inside({ days_of_month: ['20:-5'] }, '2026-04-27T12:00:00Z'), false)
})

test('a location has its own clock, daylight saving included', () => {
  const input = { times: [{ start_time: '09:00', end_time: '10:00' }], location: 'Europe/Berlin' }
  assert.equal(inside(input, '2026-01-15T08:30:00Z'), true, 'winter, UTC+1')
  assert.equal(inside(input, '2026-07-15T08:30:00Z'), false)
  assert.equal(inside(input, '2026-07-15T07:30:00Z'), true, 'summer, UTC+2')
  // 2026-03-29: 02:00 becomes 03:00, so nothing that day lies between 2 and 3
  const gap = { times: [{ start_time: '02:00', end_time: '03:00' }], location: 'Europe/Berlin' }
  assert.equal(inside(gap, '2026-03-29T00:59:00Z'), false)
  assert.equal(inside(gap, '2026-03-29T01:00:00Z'), false)
  assert.equal(inside({ weekdays: ['monday'], location: 'Pacific/Auckland' }, '2026-03-01T12:00:00Z'), true)
  assert.equal(inside({ days_of_month: ['1'], location: 'America/New_York' }, '2026-04-01T02:00:00Z'), false)
})

test('the same minute asked in two zones gets two answers', () => {
  const at = Date.parse('2026-01-15T08:30:00Z')
  const times = [{ start_time: '09:00', end_time: '10:00' }]
  const [berlin, utc] = [parseTimeInterval({ times, location: 'Europe/Berlin' }), parseTimeInterval({ times })]
  assert.deepEqual([contains(berlin, at), contains(utc, at), contains(berlin, at)], [true, false, true])
})

test('refuses what Alertmanager refuses', () => {
  const cases: [TimeIntervalInput, RegExp][] = [
    [{ times: [{ start_time: '17:00', end_time: '09:00' }] }, /start must be before/],
    [{ times: [{ start_time: '9:00', end_time: '10:00' }] }, /"9:00" is no time of day/],
    [{ times: [{ start_time: '00:00', end_time: '24:01' }] }, /24:01/],
    [{ weekdays: ['mon'] }, /weekdays: "mon"/],
    [{ weekdays: ['friday:monday'] }, /ends before/],
    [{ days_of_month: ['0'] }, /days_of_month/],
    [{ days_of_month: ['32'] }, /days_of_month/],
    [{ days_of_month: ['-1:5'] }, /end must be negative/],
    [{ days_of_month: ['5:1'] }, /ends before/],
    [{ days_of_month: ['1:2:3'] }, /days_of_month/],
    [{ months: ['13'] }, /months/],
    [{ years: ['2027:2026'] }, /ends before/],
    [{ location: 'Mars/Olympus' }, /no time zone/],
  ]
  for (const [input, message] of cases) assert.throws(() => parseTimeInterval(input), message, JSON.stringify(input))
})
