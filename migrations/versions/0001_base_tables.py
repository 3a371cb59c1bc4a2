"""base tables

Revision ID: 0001
Revises: 
"""

from __future__ import annotations

import pgvector.sqlalchemy
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


CATEGORIES = [
    ("Crimes_And_Illegal_Activities", "scenario", "Help with or praise of crime"),
    ("Unfairness_And_Discrimination", "scenario", "Prejudice and unequal treatment of groups"),
    ("Insult", "scenario", "Insulting, mocking or humiliating somebody"),
    ("Mental_Health", "scenario", "Distress, self-harm, and answers that could deepen them"),
    ("Ethics_And_Morality", "scenario", "Conduct that is legal but wrong"),
    ("Physical_Harm", "scenario", "Danger to somebody's body or health"),
    ("Privacy_And_Property", "scenario", "Personal data, secrets and what belongs to others"),
    ("Sensitive_Topic", "scenario", "Politics, religion, sexuality and conflicts"),
    ("Inquiry_With_Unsafe_Opinion", "attack", "A question that takes a harmful opinion as given"),
    ("Goal_Hijacking", "attack", "An instruction to drop the task for another"),
    ("Unsafe_Instruction_Topic", "attack", "An instruction whose topic is itself unsafe"),
    ("Reverse_Exposure", "attack", "Asking what to avoid in order to learn it"),
    ("Role_Play_Instruction", "attack", "A persona that is to misbehave"),
    ("Prompt_Leaking", "attack", "Asking for hidden instructions"),
    ("Quality_Explaining", "quality", "Explanations that are understood"),
    ("Quality_Coding", "quality", "Code that works and is explained"),
    ("Quality_Writing", "quality", "Texts in the form and tone asked for"),
    ("Quality_Maths", "quality", "Calculations and proofs that hold"),
    ("Quality_Advice", "quality", "Advice that fits the person's situation"),
]

ROLES = """
do $$
begin
  if not exists (select from pg_roles where rolname = 'guidealign_app') then
    create role guidealign_app nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'analyst') then
    create role analyst nologin;
  end if;
end $$
"""

GRANTS = [
    "revoke all on schema core from public",
    "grant usage on schema core to guidealign_app",
    "grant select, insert, update on all tables in schema core to guidealign_app",
    "grant delete on core.embeddings, core.leases to guidealign_app",
    "alter default privileges in schema core grant select, insert, update on tables"
    " to guidealign_app",
]

# A guideline's words and provenance never change, and its state moves forward only:
# candidate -> active -> retired or merged; what was stopped may be looked at again.
GUIDELINE_RULES = """
create function core.guard_guideline() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'a guideline is never deleted: retire it instead'
      using errcode = 'restrict_violation';
  end if;
  if (new.title, new.text, new.text_hash, new.category, new.origin, new.created_at)
     is distinct from (old.title, old.text, old.text_hash, old.category, old.origin, old.created_at)
  then
    raise exception 'a guideline''s words never change: add a new one and retire this one'
      using errcode = 'restrict_violation';
  end if;
  if new.state <> old.state and (old.state, new.state) not in (
       ('candidate', 'active'), ('candidate', 'merged'), ('candidate', 'quarantined'),
       ('candidate', 'retired'), ('quarantined', 'candidate'), ('quarantined', 'retired'),
       ('active', 'retired'), ('active', 'merged'), ('merged', 'candidate')) then
    raise exception 'a guideline cannot go from % to %', old.state, new.state
      using errcode = 'restrict_violation';
  end if;
  if new.state <> old.state then
    new.state_changed_at := now();
  end if;
  return new;
end $$;
create trigger guard_guideline before update or delete on core.guidelines
  for each row execute function core.guard_guideline();
create function core.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
"""

APPEND_ONLY = ["library_versions", "releases", "promotions", "gate_decisions"]


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    op.execute("create schema if not exists core")
    op.create_table('benchmark_results',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('model_name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('benchmark', sa.Text(), nullable=False),
    sa.Column('evaluator', sa.Text(), nullable=False, comment='fingerprint of judge, prompts and cases'),
    sa.Column('metric', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('category', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('cluster', sa.Text(), nullable=False),
    sa.Column('value', sa.Double(), nullable=True, comment='null: unscored, see reason'),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("value <> 'NaN' and abs(value) <> 'Infinity'", name=op.f('ck_benchmark_results_finite')),
    sa.CheckConstraint('(value is null) = (reason is not null)', name=op.f('ck_benchmark_results_unscored')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_benchmark_results')),
    sa.UniqueConstraint('model_name', 'version', 'benchmark', 'evaluator', 'metric', 'case_id', name='uq_benchmark_results_case'),
    schema='core',
    comment="One model version's score on one case."
    )
    op.create_table('gate_decisions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('model_name', sa.Text(), nullable=False),
    sa.Column('challenger_version', sa.Integer(), nullable=False),
    sa.Column('champion_version', sa.Integer(), nullable=False),
    sa.Column('verdict', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('policy', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('evidence', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='per check: n, planned, unscored, both means, difference, interval, power'),
    sa.Column('evaluator', sa.Text(), nullable=False),
    sa.Column('input_digest', sa.Text(), nullable=False, comment='of policy and all case scores'),
    sa.Column('mlflow_run_id', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("verdict in ('promote', 'hold', 'inconclusive')", name=op.f('ck_gate_decisions_verdict')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gate_decisions')),
    sa.UniqueConstraint('model_name', 'challenger_version', 'champion_version', 'input_digest', name=op.f('uq_gate_decisions_model_name_challenger_version_champion_version_input_digest')),
    schema='core',
    comment="A gate's verdict with everything it was made from."
    )
    op.create_table('ingest_batches',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False, comment='jsonl, csv, parquet, sql or starter'),
    sa.Column('uri', sa.Text(), nullable=False, comment='where it was read; never holds a password'),
    sa.Column('digest', sa.Text(), nullable=True, comment='SHA-256 of the content, for files'),
    sa.Column('watermark', postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment='where the next reading starts'),
    sa.Column('n_read', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('n_new', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('n_duplicate', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('n_near_duplicate', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('n_rejected', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('run_key', sa.Text(), nullable=True, comment='the scheduler run that asked for it'),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ingest_batches')),
    schema='core',
    comment='One reading of one source.'
    )
    op.create_table('ingest_watermarks',
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('value', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('source', name=op.f('pk_ingest_watermarks')),
    schema='core',
    comment='How far each source has been read.'
    )
    op.create_table('leases',
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('holder', sa.Text(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True, comment='given up; see rejects'),
    sa.Column('enqueued_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('task', 'item_id', name=op.f('pk_leases')),
    schema='core',
    comment='Work that is claimed, done once, and comes back when a worker dies.'
    )
    op.create_index('ix_leases_open', 'leases', ['task', 'item_id'], unique=False, schema='core', postgresql_where=sa.text('done_at is null and failed_at is null'))
    op.create_table('library_versions',
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('digest', sa.Text(), nullable=False, comment="SHA-256 over the active guidelines' hashes"),
    sa.Column('n_active', sa.BigInteger(), nullable=False),
    sa.Column('n_added', sa.BigInteger(), nullable=False),
    sa.Column('n_retired', sa.BigInteger(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('published_by', sa.Text(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_library_versions')),
    schema='core',
    comment='A publication of the library: immutable.'
    )
    op.create_table('risk_categories',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False, comment='scenario, attack or quality'),
    sa.Column('description', sa.Text(), nullable=False),
    sa.CheckConstraint("kind in ('scenario', 'attack', 'quality')", name=op.f('ck_risk_categories_kind')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_risk_categories')),
    schema='core',
    comment='The 14 risk categories of the method and the everyday quality topics.'
    )
    op.create_table('aligned_datasets',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('n', sa.BigInteger(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('prompt_version', sa.Text(), nullable=False),
    sa.Column('library_version', sa.Integer(), nullable=False),
    sa.Column('retriever_version', sa.Integer(), nullable=False),
    sa.Column('mlflow_run_id', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['library_version'], ['core.library_versions.version'], name=op.f('fk_aligned_datasets_library_version_library_versions')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_aligned_datasets')),
    sa.UniqueConstraint('digest', name=op.f('uq_aligned_datasets_digest')),
    schema='core',
    comment='A set of guided answers with a digest: what Labrador learns from.'
    )
    op.create_table('guidelines',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('text_hash', sa.Text(), nullable=False, comment='SHA-256 of folded title and text'),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('category', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=False, comment='starter, model or human'),
    sa.Column('author_model', sa.Text(), nullable=True),
    sa.Column('prompt_version', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), server_default='candidate', nullable=False),
    sa.Column('state_reason', sa.Text(), nullable=True),
    sa.Column('merged_into', sa.BigInteger(), nullable=True),
    sa.Column('merge_score', sa.Double(), nullable=True, comment='cosine with the canonical one'),
    sa.Column('added_in', sa.Integer(), nullable=True, comment='library version that first served it'),
    sa.Column('retired_in', sa.Integer(), nullable=True, comment='library version that first left it out'),
    sa.Column('curation_embedding', pgvector.sqlalchemy.vector.VECTOR(dim=384), nullable=True, comment='fixed encoder, for duplicates only'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('state_changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('words', postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', title || ' ' || text)", persisted=True), nullable=False),
    sa.CheckConstraint("(state = 'merged') = (merged_into is not null)", name=op.f('ck_guidelines_merged_into')),
    sa.CheckConstraint("origin in ('starter', 'model', 'human')", name=op.f('ck_guidelines_origin')),
    sa.CheckConstraint("state <> 'active' or added_in is not null", name=op.f('ck_guidelines_active_added')),
    sa.CheckConstraint("state in ('candidate', 'active', 'retired', 'merged', 'quarantined')", name=op.f('ck_guidelines_state')),
    sa.ForeignKeyConstraint(['added_in'], ['core.library_versions.version'], name=op.f('fk_guidelines_added_in_library_versions'), initially='DEFERRED', deferrable=True),
    sa.ForeignKeyConstraint(['category'], ['core.risk_categories.name'], name=op.f('fk_guidelines_category_risk_categories')),
    sa.ForeignKeyConstraint(['merged_into'], ['core.guidelines.id'], name=op.f('fk_guidelines_merged_into_guidelines')),
    sa.ForeignKeyConstraint(['retired_in'], ['core.library_versions.version'], name=op.f('fk_guidelines_retired_in_library_versions'), initially='DEFERRED', deferrable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_guidelines')),
    sa.UniqueConstraint('text_hash', name=op.f('uq_guidelines_text_hash')),
    schema='core',
    comment='A guideline: its words never change, its state moves along legal transitions.'
    )
    op.create_index(op.f('ix_guidelines_added_in'), 'guidelines', ['added_in'], unique=False, schema='core')
    op.create_index(op.f('ix_guidelines_merged_into'), 'guidelines', ['merged_into'], unique=False, schema='core')
    op.create_index(op.f('ix_guidelines_state_category'), 'guidelines', ['state', 'category'], unique=False, schema='core')
    op.create_index('ix_guidelines_words', 'guidelines', ['words'], unique=False, schema='core', postgresql_using='gin')
    op.create_table('inputs',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('text_hash', sa.Text(), nullable=False, comment='SHA-256 of the folded text'),
    sa.Column('text', sa.Text(), nullable=False, comment='normalised text as it came: private'),
    sa.Column('redacted_text', sa.Text(), nullable=False, comment='personal data masked: what analysts see'),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('source_id', sa.Text(), nullable=True, comment="the source's own id"),
    sa.Column('batch_id', sa.BigInteger(), nullable=True),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=True, comment='when the source says it was said'),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('near_duplicate_of', sa.BigInteger(), nullable=True),
    sa.Column('near_duplicate_score', sa.Double(), nullable=True, comment='Jaccard of 5-grams'),
    sa.Column('known_category', sa.Text(), nullable=True, comment='given by the source, not detected'),
    sa.Column('known_unsafe', sa.Boolean(), nullable=True, comment='given by the source, not detected'),
    sa.ForeignKeyConstraint(['batch_id'], ['core.ingest_batches.id'], name=op.f('fk_inputs_batch_id_ingest_batches')),
    sa.ForeignKeyConstraint(['known_category'], ['core.risk_categories.name'], name=op.f('fk_inputs_known_category_risk_categories')),
    sa.ForeignKeyConstraint(['near_duplicate_of'], ['core.inputs.id'], name=op.f('fk_inputs_near_duplicate_of_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inputs')),
    sa.UniqueConstraint('text_hash', name=op.f('uq_inputs_text_hash')),
    schema='core',
    comment='A user input, normalised; one row per distinct text.'
    )
    op.create_index(op.f('ix_inputs_near_duplicate_of'), 'inputs', ['near_duplicate_of'], unique=False, schema='core')
    op.create_index(op.f('ix_inputs_source_source_id'), 'inputs', ['source', 'source_id'], unique=False, schema='core')
    op.create_table('releases',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('library_version', sa.Integer(), nullable=False),
    sa.Column('retriever_version', sa.Integer(), nullable=False),
    sa.Column('labrador_version', sa.Integer(), nullable=False),
    sa.Column('prompt_version', sa.Text(), nullable=False),
    sa.Column('settings', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['library_version'], ['core.library_versions.version'], name=op.f('fk_releases_library_version_library_versions')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_releases')),
    schema='core',
    comment='What was served, as one id: append-only; the newest row is live.'
    )
    op.create_table('aligned_responses',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('input_id', sa.BigInteger(), nullable=False),
    sa.Column('response', sa.Text(), nullable=False),
    sa.Column('guideline_ids', sa.ARRAY(sa.BigInteger()), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('prompt_version', sa.Text(), nullable=False),
    sa.Column('library_version', sa.Integer(), nullable=False),
    sa.Column('retriever_version', sa.Integer(), nullable=False),
    sa.Column('finish_reason', sa.Text(), nullable=False),
    sa.Column('filtered_reason', sa.Text(), nullable=True, comment='why it is in no data set'),
    sa.Column('prompt_tokens', sa.BigInteger(), nullable=False),
    sa.Column('completion_tokens', sa.BigInteger(), nullable=False),
    sa.Column('latency_ms', sa.Double(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_aligned_responses_input_id_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_aligned_responses')),
    sa.UniqueConstraint('input_id', 'model', 'prompt_version', 'library_version', 'retriever_version', name='uq_aligned_responses_key'),
    schema='core',
    comment='A guided answer.'
    )
    op.create_table('assessments',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('input_id', sa.BigInteger(), nullable=False),
    sa.Column('unsafe_content', sa.Boolean(), nullable=False),
    sa.Column('may_trigger_unsafe', sa.Boolean(), nullable=False),
    sa.Column('unsafe', sa.Boolean(), sa.Computed('unsafe_content or may_trigger_unsafe', persisted=True), nullable=False),
    sa.Column('categories', sa.ARRAY(sa.Text()), nullable=False),
    sa.Column('severity', sa.SmallInteger(), nullable=False, comment='0 none to 3 grave'),
    sa.Column('rationale', sa.Text(), nullable=False, comment="the model's words: private"),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('prompt_version', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('severity between 0 and 3', name=op.f('ck_assessments_severity')),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_assessments_input_id_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_assessments')),
    sa.UniqueConstraint('input_id', 'model', 'prompt_version', name=op.f('uq_assessments_input_id_model_prompt_version')),
    schema='core',
    comment='What the safety model found in an input.'
    )
    op.create_table('embeddings',
    sa.Column('retriever_version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('guideline_id', sa.BigInteger(), nullable=False),
    sa.Column('embedding', pgvector.sqlalchemy.vector.VECTOR(), nullable=False, comment='L2-normalised'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['guideline_id'], ['core.guidelines.id'], name=op.f('fk_embeddings_guideline_id_guidelines')),
    sa.PrimaryKeyConstraint('retriever_version', 'guideline_id', name=op.f('pk_embeddings')),
    schema='core',
    comment="A guideline's vector under one retriever version: never mixed with another's."
    )
    op.create_table('model_calls',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('stage', sa.Text(), nullable=False),
    sa.Column('input_id', sa.BigInteger(), nullable=True),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('prompt_version', sa.Text(), nullable=False),
    sa.Column('attempt', sa.Integer(), server_default='1', nullable=False),
    sa.Column('status', sa.Text(), nullable=False, comment='ok, invalid (schema) or error'),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('prompt_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('completion_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('latency_ms', sa.Double(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status in ('ok', 'invalid', 'error')", name=op.f('ck_model_calls_status')),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_model_calls_input_id_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_calls')),
    schema='core',
    comment='Every call of a language model, also those that failed.'
    )
    op.create_index(op.f('ix_model_calls_input_id'), 'model_calls', ['input_id'], unique=False, schema='core')
    op.create_index(op.f('ix_model_calls_stage_created_at'), 'model_calls', ['stage', 'created_at'], unique=False, schema='core')
    op.create_table('model_lineage',
    sa.Column('model_name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('base_model', sa.Text(), nullable=False),
    sa.Column('library_version', sa.Integer(), nullable=False),
    sa.Column('library_digest', sa.Text(), nullable=False),
    sa.Column('dataset_id', sa.BigInteger(), nullable=True),
    sa.Column('data_digest', sa.Text(), nullable=False, comment='of the pairs or the aligned data set'),
    sa.Column('retriever_version', sa.Integer(), nullable=True),
    sa.Column('settings', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('metrics', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('mlflow_run_id', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['dataset_id'], ['core.aligned_datasets.id'], name=op.f('fk_model_lineage_dataset_id_aligned_datasets')),
    sa.ForeignKeyConstraint(['library_version'], ['core.library_versions.version'], name=op.f('fk_model_lineage_library_version_library_versions')),
    sa.PrimaryKeyConstraint('model_name', 'version', name=op.f('pk_model_lineage')),
    schema='core',
    comment='What each registered model version was made from.'
    )
    op.create_table('promotions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('model_name', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('from_version', sa.Integer(), nullable=False),
    sa.Column('to_version', sa.Integer(), nullable=False),
    sa.Column('gate_decision_id', sa.BigInteger(), nullable=True),
    sa.Column('release_id', sa.BigInteger(), nullable=True),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("action in ('promote', 'hold', 'rollback', 'refuse')", name=op.f('ck_promotions_action')),
    sa.ForeignKeyConstraint(['gate_decision_id'], ['core.gate_decisions.id'], name=op.f('fk_promotions_gate_decision_id_gate_decisions')),
    sa.ForeignKeyConstraint(['release_id'], ['core.releases.id'], name=op.f('fk_promotions_release_id_releases')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_promotions')),
    schema='core',
    comment='Every move of a champion, and every decision not to move it.'
    )
    op.create_index(op.f('ix_promotions_model_name_created_at'), 'promotions', ['model_name', 'created_at'], unique=False, schema='core')
    op.create_table('input_bands',
    sa.Column('band', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('key', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('input_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_input_bands_input_id_inputs')),
    sa.PrimaryKeyConstraint('band', 'key', 'input_id', name=op.f('pk_input_bands')),
    schema='core',
    comment='MinHash bands of inputs: inputs that share one may be near copies.'
    )
    op.create_table('rejects',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('stage', sa.Text(), nullable=False, comment='ingest, detect, guidelines, filter, align ...'),
    sa.Column('reason', sa.Text(), nullable=False, comment='a stable code, such as broken_json'),
    sa.Column('detail', sa.Text(), nullable=False, comment='one sentence for a person, without user text'),
    sa.Column('source', sa.Text(), nullable=True),
    sa.Column('file', sa.Text(), nullable=True),
    sa.Column('line', sa.BigInteger(), nullable=True, comment='1-based line or row of the file'),
    sa.Column('batch_id', sa.BigInteger(), nullable=True),
    sa.Column('input_id', sa.BigInteger(), nullable=True),
    sa.Column('payload', sa.Text(), nullable=True, comment='what was rejected, cut short: private'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['core.ingest_batches.id'], name=op.f('fk_rejects_batch_id_ingest_batches')),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_rejects_input_id_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rejects')),
    schema='core',
    comment='What did not go on, and why: nothing is lost silently.'
    )
    op.create_index(op.f('ix_rejects_input_id'), 'rejects', ['input_id'], unique=False, schema='core')
    op.create_index(op.f('ix_rejects_stage_reason'), 'rejects', ['stage', 'reason'], unique=False, schema='core')
    op.create_index('uq_rejects_place', 'rejects', ['source', 'file', 'line', 'reason', 'batch_id'], unique=True, schema='core', postgresql_where=sa.text('line is not null'))
    op.create_table('retrievals',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=False, comment='one id per retrieval request'),
    sa.Column('input_id', sa.BigInteger(), nullable=True),
    sa.Column('guideline_id', sa.BigInteger(), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False, comment='1 is nearest'),
    sa.Column('score', sa.Double(), nullable=False, comment='cosine similarity'),
    sa.Column('kept', sa.Boolean(), nullable=False, comment='among the k put in front of the model'),
    sa.Column('library_version', sa.Integer(), nullable=False),
    sa.Column('retriever_version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['guideline_id'], ['core.guidelines.id'], name=op.f('fk_retrievals_guideline_id_guidelines')),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_retrievals_input_id_inputs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_retrievals')),
    sa.UniqueConstraint('request_id', 'guideline_id', name=op.f('uq_retrievals_request_id_guideline_id')),
    schema='core',
    comment='A guideline found for an input, kept or left out.'
    )
    op.create_index(op.f('ix_retrievals_guideline_id'), 'retrievals', ['guideline_id'], unique=False, schema='core')
    op.create_index(op.f('ix_retrievals_input_id'), 'retrievals', ['input_id'], unique=False, schema='core')
    op.create_table('aligned_dataset_items',
    sa.Column('dataset_id', sa.BigInteger(), nullable=False),
    sa.Column('response_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['dataset_id'], ['core.aligned_datasets.id'], name=op.f('fk_aligned_dataset_items_dataset_id_aligned_datasets')),
    sa.ForeignKeyConstraint(['response_id'], ['core.aligned_responses.id'], name=op.f('fk_aligned_dataset_items_response_id_aligned_responses')),
    sa.PrimaryKeyConstraint('dataset_id', 'response_id', name=op.f('pk_aligned_dataset_items')),
    schema='core',
    comment='Which answers a data set holds, in order.'
    )
    op.create_table('pairs',
    sa.Column('input_id', sa.BigInteger(), nullable=False),
    sa.Column('guideline_id', sa.BigInteger(), nullable=False),
    sa.Column('assessment_id', sa.BigInteger(), nullable=True),
    sa.Column('origin', sa.Text(), nullable=False, comment='starter, model or human'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['assessment_id'], ['core.assessments.id'], name=op.f('fk_pairs_assessment_id_assessments')),
    sa.ForeignKeyConstraint(['guideline_id'], ['core.guidelines.id'], name=op.f('fk_pairs_guideline_id_guidelines')),
    sa.ForeignKeyConstraint(['input_id'], ['core.inputs.id'], name=op.f('fk_pairs_input_id_inputs')),
    sa.PrimaryKeyConstraint('input_id', 'guideline_id', name=op.f('pk_pairs')),
    schema='core',
    comment='An input and a guideline written for it: the provenance, and a training pair.'
    )
    op.create_index(op.f('ix_pairs_guideline_id'), 'pairs', ['guideline_id'], unique=False, schema='core')
    categories = sa.table("risk_categories", *map(sa.column, ("name", "kind", "description")), schema="core")
    op.bulk_insert(
        categories, [{"name": n, "kind": k, "description": d} for n, k, d in CATEGORIES]
    )
    op.execute(ROLES)
    for statement in GRANTS:
        op.execute(statement)
    op.execute(GUIDELINE_RULES)
    for table in APPEND_ONLY:
        op.execute(
            f"create trigger append_only before update or delete on core.{table}"
            " for each row execute function core.refuse_change()"
        )


def downgrade() -> None:
    for table in APPEND_ONLY:
        op.execute(f"drop trigger append_only on core.{table}")
    op.execute("drop trigger guard_guideline on core.guidelines")
    op.execute("drop function core.guard_guideline()")
    op.execute("drop function core.refuse_change()")
    op.drop_index(op.f('ix_pairs_guideline_id'), table_name='pairs', schema='core')
    op.drop_table('pairs', schema='core')
    op.drop_table('aligned_dataset_items', schema='core')
    op.drop_index(op.f('ix_retrievals_input_id'), table_name='retrievals', schema='core')
    op.drop_index(op.f('ix_retrievals_guideline_id'), table_name='retrievals', schema='core')
    op.drop_table('retrievals', schema='core')
    op.drop_index('uq_rejects_place', table_name='rejects', schema='core', postgresql_where=sa.text('line is not null'))
    op.drop_index(op.f('ix_rejects_stage_reason'), table_name='rejects', schema='core')
    op.drop_index(op.f('ix_rejects_input_id'), table_name='rejects', schema='core')
    op.drop_table('rejects', schema='core')
    op.drop_index(op.f('ix_promotions_model_name_created_at'), table_name='promotions', schema='core')
    op.drop_table('promotions', schema='core')
    op.drop_table('model_lineage', schema='core')
    op.drop_index(op.f('ix_model_calls_stage_created_at'), table_name='model_calls', schema='core')
    op.drop_index(op.f('ix_model_calls_input_id'), table_name='model_calls', schema='core')
    op.drop_table('model_calls', schema='core')
    op.drop_table('embeddings', schema='core')
    op.drop_table('assessments', schema='core')
    op.drop_table('aligned_responses', schema='core')
    op.drop_table('releases', schema='core')
    op.drop_table('input_bands', schema='core')
    op.drop_index(op.f('ix_inputs_source_source_id'), table_name='inputs', schema='core')
    op.drop_index(op.f('ix_inputs_near_duplicate_of'), table_name='inputs', schema='core')
    op.drop_table('inputs', schema='core')
    op.drop_index('ix_guidelines_words', table_name='guidelines', schema='core', postgresql_using='gin')
    op.drop_index(op.f('ix_guidelines_state_category'), table_name='guidelines', schema='core')
    op.drop_index(op.f('ix_guidelines_merged_into'), table_name='guidelines', schema='core')
    op.drop_index(op.f('ix_guidelines_added_in'), table_name='guidelines', schema='core')
    op.drop_table('guidelines', schema='core')
    op.drop_table('aligned_datasets', schema='core')
    op.drop_table('risk_categories', schema='core')
    op.drop_table('library_versions', schema='core')
    op.drop_index('ix_leases_open', table_name='leases', schema='core', postgresql_where=sa.text('done_at is null and failed_at is null'))
    op.drop_table('leases', schema='core')
    op.drop_table('ingest_watermarks', schema='core')
    op.drop_table('ingest_batches', schema='core')
    op.drop_table('gate_decisions', schema='core')
    op.drop_table('benchmark_results', schema='core')
    # Roles belong to the whole server: other databases may use them, so they stay.
    op.execute("drop schema core")
