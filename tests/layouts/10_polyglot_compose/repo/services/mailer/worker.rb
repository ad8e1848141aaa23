class MailWorker
  def perform(id)
  end
end
