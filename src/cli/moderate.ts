/**
 * `ovation moderate`: what the console does, from a terminal. `ovation moderate <stream|global> <action> …`.
 *
 * What is being moderated comes first, so that it stands in one place whatever is done about it; the actions are
 * commands of their own, each with its options and its help.
 */

import { Command, InvalidArgumentError, Option } from 'commander';
import type * as Y from 'yjs';
import { subjectOfDocument, streamDocument, LIMIT_SCOPES, type DocumentName, type LimitScope } from '../moderation/policy-content.ts';
import { isId, type StreamId } from '../../crdt/ids.ts';
import {
  contentOf,
  endStream,
  lift,
  mute,
  retract,
  revoke,
  setEmoji,
  setLevel,
  setLimit,
  setSpread,
  setState,
  type Decision,
  type MuteSubject,
} from '../moderation/policy-doc.ts';
import type { Policy } from '../moderation/policy.ts';
import { LEVELS_IN_ORDER } from '../protocol/message-rules.ts';
import type { PolicyChange, PolicyInForce } from '../web/console/api.ts';
import { parseDuration, parseId, parseInteger, parsePositive } from './arguments.ts';
import { addEndpointOptions } from './endpoints.ts';
import { ENVIRONMENT_HELP } from './environment.ts';
import { CommandFailure } from './failure.ts';
import type { ModeratorOptions } from './moderate/moderator.ts';
import { changeLines, policyLines, visible } from './moderate/words.ts';
import { addTokenOptions } from './token.ts';

export function addModerateCommand(program: Command): void {
  program
    .command('moderate')
    .summary('Mute, take back, change emoji and limits, drain or end a stream.')
    .usage('<stream|global> <action> [options]')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const [first = '--help', ...rest] = words;
      if (!/^(-h|--help|help)$/.test(first)) return void (await actionsOn(documentOf(first)).parseAsync(rest, { from: 'user' }));
      actionsOn('global').outputHelp();
    });
}

const EXAMPLES = `
A viewer or device is named viewer:<id> or device:<id>; a viewer may be named by the id alone.
Waits until the region has taken the change, and exits with
  1  when the region will not take it   2  for wrong options or a token that may not   3  when it cannot be reached
${ENVIRONMENT_HELP}

Examples:
  $ ovation moderate derby mute viewer:bot-7 --for 1h --take-back 10m --reason "a bot"
  $ ovation moderate derby emoji star --glyph ⭐
  $ ovation moderate global limit viewer --per-second 10
  $ ovation moderate derby end --yes
  $ ovation moderate derby show --endpoint https://us.example --token-file moderator.jwt`;

function actionsOn(document: DocumentName): Command {
  const actions = new Command('ovation moderate <stream|global>').exitOverride().showSuggestionAfterError().addHelpText('after', EXAMPLES);
  const action = (usage: string, description: string): Command =>
    addTokenOptions(addEndpointOptions(actions.command(usage).description(description)))
      .option('--by <name>', 'who decides, as other moderators see it (default: the token’s sub, or anybody)')
      .addOption(new Option('--wait <duration>', 'how long the region has to confirm').argParser(parseDuration).default(10_000, '10s'))
      .option('--json', 'print one JSON object');
  const takeBack = ['--take-back <duration>', 'also take back what was counted so long before, up to 60m', parseDuration] as const;

  action('mute', 'Stop counting a viewer or a device.')
    .argument('<who>', 'viewer:<id> or device:<id>', parseSubject)
    .option('--for <duration>', 'such as 10m or 24h (default: for good)', parseDuration)
    .option('--reason <text>', 'for other moderators')
    .option(...takeBack)
    .action((who: MuteSubject, options: ModeratorOptions & { for?: number; reason?: string; takeBack?: number }) =>
      edit(document, options, (doc, { by, at }) => {
        const retractFrom = options.takeBack === undefined ? null : at - options.takeBack;
        mute(doc, who, { by, at, until: options.for === undefined ? null : at + options.for, reason: options.reason ?? '', retractFrom });
        return `muted ${named(who)}`;
      }),
    );
  action('unmute', 'Count a viewer or a device again; what was taken back stays so.')
    .argument('<who>', 'viewer:<id> or device:<id>', parseSubject)
    .action((who: MuteSubject, options: ModeratorOptions) =>
      edit(document, options, (doc, decision) => {
        if (!lift(doc, who, decision)) throw new CommandFailure('no', `${named(who)} is not muted in ${document}`);
        return `unmuted ${named(who)}`;
      }),
    );
  action('retract', 'Take back what was counted of a viewer or a device, and go on counting.')
    .argument('<who>', 'viewer:<id> or device:<id>', parseSubject)
    .requiredOption('--take-back <duration>', 'what was counted so long before, up to 60m', parseDuration)
    .option('--reason <text>', 'for other moderators')
    .action((who: MuteSubject, options: ModeratorOptions & { reason?: string; takeBack: number }) =>
      edit(document, options, (doc, { by, at }) => {
        retract(doc, who, { by, at, from: at - options.takeBack, ...(options.reason === undefined ? {} : { reason: options.reason }) });
        return `taking back taps of ${named(who)}`;
      }),
    );
  action('emoji', 'Add or change an emoji.')
    .argument('<id>', 'its id', parseId)
    .option('--glyph <text>', 'what is shown')
    .option('--show', 'let it be tapped')
    .option('--hide', 'let it not be tapped')
    .option('--order <n>', 'lower stands first', parseInteger(0, 1_000_000))
    .option('--forget', 'say nothing of it here any more')
    .action((id: string, options: ModeratorOptions & { glyph?: string; show?: boolean; hide?: boolean; order?: number; forget?: boolean }) => {
      const { glyph, show, hide, order, forget } = options;
      const fields = { ...(glyph === undefined ? {} : { glyph }), ...(show || hide ? { enabled: !hide } : {}), ...(order === undefined ? {} : { order }) };
      chosen(forget === true, fields, '--glyph, --show, --hide, --order or --forget');
      if (show && hide) throw new CommandFailure('usage', 'give --show or --hide, not both');
      return edit(document, options, (doc) => {
        setEmoji(doc, id, forget ? null : fields);
        return forget ? `forgot what was said of ${id}` : `changed ${id}`;
      });
    });
  action('limit', 'Change how many taps of a viewer, device or address count.')
    .argument('<per>', LIMIT_SCOPES.join(', '), oneOf(LIMIT_SCOPES))
    .option('--per-second <n>', 'taps a second', parsePositive(1_000_000))
    .option('--burst <n>', 'taps at once', parsePositive(1_000_000))
    .option('--forget', 'say nothing of it here any more')
    .action((scope: LimitScope, options: ModeratorOptions & { perSecond?: number; burst?: number; forget?: boolean }) => {
      const { perSecond, burst, forget } = options;
      const fields = { ...(perSecond === undefined ? {} : { tapsPerSecondMax: perSecond }), ...(burst === undefined ? {} : { tapBurstMax: burst }) };
      chosen(forget === true, fields, '--per-second, --burst or --forget');
      return edit(document, options, (doc) => {
        setLimit(doc, scope, forget ? null : fields);
        return forget ? `forgot what was said of the limit per ${scope}` : `changed the limit per ${scope}`;
      });
    });
  action('state', 'Let new viewers in, or nobody new.')
    .argument('<state>', 'live or draining', oneOf(['live', 'draining'] as const))
    .action((state: 'live' | 'draining', options: ModeratorOptions) =>
      edit(document, options, (doc, decision) => {
        if (contentOf(doc).content.endedAt !== null) throw new CommandFailure('no', 'the stream has ended, and an end is final');
        setState(doc, state, decision);
        return `${state} now`;
      }),
    );
  action('end', 'End the stream, for good.')
    .option('--yes', 'yes, for good')
    .action((options: ModeratorOptions & { yes?: boolean }) => {
      if (document === 'global') throw new CommandFailure('usage', 'streams are ended one by one; name one');
      if (!options.yes) throw new CommandFailure('usage', 'an end is final and holds in all regions; add --yes');
      return edit(document, options, (doc, decision) => (endStream(doc, decision) ? 'ended' : 'had ended before'));
    });
  action('level', 'Insist on a level of the degradation ladder.')
    .argument('<level>', `${LEVELS_IN_ORDER.join(', ')}, or auto`, oneOf([...LEVELS_IN_ORDER, 'auto'] as const))
    .action((level: NonNullable<Policy['level']> | 'auto', options: ModeratorOptions) =>
      edit(document, options, (doc, decision) => {
        setLevel(doc, level === 'auto' ? null : level, decision);
        return level === 'auto' ? 'left the level to the region' : `level ${level}`;
      }),
    );
  action('spread', 'Count the stream in several shards, from the next start of each region on.')
    .argument('<shards>', '1 to 256', parseInteger(1, 256))
    .action((shards: number, options: ModeratorOptions) =>
      edit(document, options, (doc, decision) => {
        setSpread(doc, shards, decision);
        return `spread over ${shards}`;
      }),
    );
  action('revoke', 'Refuse the tokens of a viewer or moderator that were issued before now (global).')
    .argument('<sub>', 'the claim sub of the tokens')
    .action((sub: string, options: ModeratorOptions) => {
      if (document !== 'global') throw new CommandFailure('usage', 'tokens are revoked for all streams: ovation moderate global revoke …');
      return edit(document, options, (doc, decision) => {
        revoke(doc, sub, decision.at, decision);
        return `revoked the tokens of ${sub}`;
      });
    });
  action('show', 'Print what is in force in the region.').action((options: ModeratorOptions) => show(document, options));
  action('changes', 'Print who changed what.')
    .option('--limit <n>', 'the latest so many', parseInteger(1, 1_000), 20)
    .action((options: ModeratorOptions & { limit: number }) => showChanges(document, options));
  return actions;
}

async function edit(document: DocumentName, options: ModeratorOptions, change: (doc: Y.Doc, decision: Decision) => string): Promise<void> {
  const { editDocument, findRegion } = await import('./moderate/moderator.ts');
  const found = await findRegion(options);
  const done = await editDocument(found, document, options.wait, (doc) => change(doc, found.decision));
  if (options.json) console.log(JSON.stringify({ document, region: found.region, done, ...found.decision }));
  else console.log(visible(`${document}: ${done}; ${found.region} has it`));
}

async function show(document: DocumentName, options: ModeratorOptions): Promise<void> {
  const { ask, findRegion } = await import('./moderate/moderator.ts');
  const { endpoint, token, region, decision } = await findRegion(options);
  const policy = await ask<PolicyInForce & { spread: number }>(endpoint, `/control/${document}/policy`, token);
  if (options.json) return console.log(JSON.stringify(policy));
  console.log(`${document} in ${region}`);
  for (const line of policyLines(policy, decision.at)) console.log(`  ${line}`);
}

async function showChanges(document: DocumentName, options: ModeratorOptions & { limit: number }): Promise<void> {
  const { ask, findRegion } = await import('./moderate/moderator.ts');
  const { endpoint, token, decision } = await findRegion(options);
  const answer = await ask<{ changes: readonly PolicyChange[] }>(endpoint, `/control/${document}/changes?limit=${options.limit}`, token);
  if (options.json) return console.log(JSON.stringify(answer));
  for (const line of changeLines(answer.changes, decision.at)) console.log(line);
  if (answer.changes.length === 0) console.log('Nothing was changed yet.');
}

/** `global`, a stream's id, or `stream.<id>`. @throws CommandFailure */
function documentOf(text: string): DocumentName {
  if (text !== 'global' && isId(text)) return streamDocument(text as StreamId);
  if (subjectOfDocument(text) === null) throw new CommandFailure('usage', `"${text}" is neither a stream nor global: ovation moderate <stream|global> <action>`);
  return text as DocumentName;
}

function parseSubject(text: string): MuteSubject {
  const [, kind = 'viewer', id = ''] = /^(?:(viewer|device):)?([\x21-\x7e]{1,128})$/.exec(text) ?? [];
  if (id === '') throw new InvalidArgumentError('Expected viewer:<id> or device:<id>.');
  return { kind: kind as MuteSubject['kind'], id };
}

function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    if (!(words as readonly string[]).includes(text)) throw new InvalidArgumentError(`Expected one of ${words.join(', ')}.`);
    return text as Word;
  };
}

function named({ kind, id }: MuteSubject): string {
  return `${kind} ${id}`;
}

function chosen(forget: boolean, fields: object, expected: string): void {
  if (forget === Object.keys(fields).length > 0) throw new CommandFailure('usage', `give ${expected}${forget ? ', and --forget alone' : ''}`);
}
